"""Hold claims while work is going on, from a thread that does nothing else.

Decoding never delays a renewal, because decoding happens in other processes. A claim that turns out to be
lost, by an expired lease or because the import was canceled, tells its work to stop. A claim whose end MongoDB
did not hear is owed: it is given back once MongoDB listens, before anybody takes this worker for dead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog
from pymongo.errors import PyMongoError

from common.documents.claims import Claim, Claims, LostClaimError

log = structlog.get_logger(__name__)


class Leases:
    """The claims of one process, renewed every few seconds until each is let go."""

    def __init__(self, *, clock: Callable[[], datetime], lease: float, every: float) -> None:
        self._clock = clock
        self._lease, self._every = lease, every
        self._held: dict[tuple[str, int], tuple[Claims, Claim, threading.Event]] = {}
        self._owed: list[tuple[Claims, Claim]] = []
        self._is_away = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._interrupted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; claims still held run out by themselves."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=self._every + 1)

    @property
    def interrupted(self) -> bool:
        """Whether this process is about to end, so that nothing is to be claimed here any more."""
        return self._interrupted.is_set()

    @contextmanager
    def hold(self, ledger: Claims, claim: Claim) -> Iterator[threading.Event]:
        """Keep a claim of a ledger for the length of a block; the event that it yields tells the work to stop."""
        stop, key = threading.Event(), (claim.id, claim.fence)
        with self._lock:
            self._held[key] = (ledger, claim, stop)
        if self.interrupted:
            stop.set()  # claimed at the very moment at which all others were told
        try:
            yield stop
        finally:
            with self._lock:
                self._held.pop(key, None)

    def interrupt(self) -> None:
        """Tell all work in hand to stop, and whatever is claimed after it, since this process has to end."""
        self._interrupted.set()
        with self._lock:
            held = list(self._held.values())
        for *_, stop in held:
            stop.set()

    def owe(self, ledger: Claims, claim: Claim) -> None:
        """Give a claim back as soon as MongoDB answers: nobody works under it any more."""
        with self._lock:
            self._owed.append((ledger, claim))

    def renew(self) -> None:
        """Renew every claim once, and give back what is owed.

        A store that is away changes nothing: nobody judges leases then either.
        """
        with self._lock:
            held, owed = list(self._held.values()), list(self._owed)
        if not held and not owed:
            return
        try:
            for ledger, claim, stop in held:
                if stop.is_set() and not self.interrupted:
                    # Said at the second look: at the first it may just have ended, and be about to be let go.
                    log.warning("claim lost", stage=claim.stage.name, id=claim.id, fence=claim.fence)
                    with self._lock:
                        self._held.pop((claim.id, claim.fence), None)
                elif not ledger.renew(claim, now=self._clock(), lease=self._lease):
                    stop.set()
            for ledger, claim in owed:
                self._release(ledger, claim)
        except PyMongoError as error:
            if not self._is_away:
                log.warning("claims not renewed", reason=type(error).__name__)
            self._is_away = True
        else:
            if self._is_away:
                log.warning("claims renewed again")
            self._is_away = False

    def _release(self, ledger: Claims, claim: Claim) -> None:
        try:
            ledger.released(claim, now=self._clock())
        except LostClaimError:
            pass  # it never arrived, or its end did, or somebody has taken it back
        else:
            log.info("claim given back", stage=claim.stage.name, id=claim.id, fence=claim.fence)
        with self._lock:
            self._owed.remove((ledger, claim))

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            self.renew()
