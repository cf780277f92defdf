"""Name every way in which a stage can end without its result, and what follows from each.

    Failure
    ├── Permanent     about this record: the import fails at once
    ├── Transient     about this answer: counts one attempt, then is tried again with full jitter
    ├── Throttled     about the organization or a store: counts nothing, the import waits
    └── Interrupted   about this worker, which is told to stop: the work is given back, nothing is counted

`code` is stable and documented (`docs/reference/errors.md`); `detail` is a sentence for people that says
what happened and what to do. Neither ever holds a URL, a token, a parameter or the text of a remote error.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal


class Failure(Exception):  # noqa: N818 - the tree reads as what happened, not as an error kind
    """A stage ended without its result. `calls` is how many calls of the source's allowance it has cost."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        self.calls = 0
        super().__init__(f"{code}: {detail}")


class Permanent(Failure):
    """The record itself cannot be imported.

    `may_appear`: the record was not found, which for a very young import can be replication or sharing
    that lags; such an import is looked at once more before it fails.
    """

    def __init__(self, code: str, detail: str, *, may_appear: bool = False) -> None:
        super().__init__(code, detail)
        self.may_appear = may_appear


class Transient(Failure):
    """This answer was no good; another one may be. `retry_after` is what the other side asked for, in seconds."""

    def __init__(self, code: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class Throttled(Failure):
    """Nothing is wrong with the import: its organization's Salesforce, or one of our stores, cannot serve now.

    `scope` is `organization` (its shared gate closes, and one import at a time probes it), `store` (this
    import waits and looks again soon) or `import` (it does so after `probe_after` seconds, while others of
    its organization may go on). `waiting_for` is what the import's document says meanwhile. The gate is
    probed after `probe_after` seconds, a wait that doubles up to `probe_cap` while the probes fail.
    `expected_at` is when it should be over, where anybody can know.
    """

    def __init__(  # noqa: PLR0913 - all of it by keyword
        self,
        code: str,
        detail: str,
        *,
        waiting_for: str,
        scope: Literal["organization", "store", "import"] = "organization",
        probe_after: float = 5.0,
        probe_cap: float = 5.0,
        expected_at: datetime | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.expected_at = expected_at
        self.scope, self.waiting_for = scope, waiting_for
        self.probe_after, self.probe_cap = probe_after, max(probe_after, probe_cap)


class Interrupted(Failure):
    """The worker was told to stop while the stage ran, or its claim was taken away."""

    def __init__(self) -> None:
        super().__init__("interrupted", "The worker stops; another one goes on.")
