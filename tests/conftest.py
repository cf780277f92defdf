"""Make every test start from the same ground, whatever the environment of the person who runs it."""

from __future__ import annotations

import os
import signal

import pytest

from common.settings import TABLE
from tests.stores import mongodb_url, redis_url, secantus, valkey

__all__ = ["mongodb_url", "redis_url", "secantus", "valkey"]

LONG = {"faults", "journey", "chaos"}  # the folders whose files take tens of seconds each


def pytest_configure(config: pytest.Config) -> None:
    """Drop our own settings from the environment: tests, and the processes they start, name what they mean.

    A MONGODB_URL left over from a real deployment must never be what a test empties. And a shell that puts
    the run into the background lets it ignore Ctrl-C, which the processes of the tests would inherit.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for setting in TABLE:
        os.environ.pop(setting.name, None)
        os.environ.pop(f"{setting.name}_FILE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first: processes that share the files out are then busy to the end, with short ones."""
    items.sort(key=lambda item: LONG.isdisjoint(item.path.parts))
