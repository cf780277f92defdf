"""Name the two ways in which a start ends early, so that a person reads a sentence and never a traceback."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The world cannot be started like this; the message says what to do, `code` is the exit code.

    2: something that the person can change (an option, a port, a folder). 1: a step of the start failed.
    """

    def __init__(self, sentence: str, *, code: int = 2) -> None:
        self.code = code
        super().__init__(sentence)


class Stopped(Exception):  # noqa: N818 - reads as what happened
    """Someone asked the sandbox to end while it was still starting."""
