"""Keep the processes of the world alive, and end them all in order when someone asks.

A child that dies is started anew after a pause and the others do not notice. What is left of its process
group (the workers of a killed master) has four seconds to notice and give its work back. The world ends in
the order work flows: the door and the workers, then the sweeper, then what they stand on.
"""

from __future__ import annotations

import functools
import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping

from sandbox import processes
from sandbox.child import Child
from sandbox.endings import Refused, Stopped
from sandbox.output import Output

# Seconds from the request to the kill, by rank; the sum stays below the 15 s after which a person takes the
# sandbox for hung. Workers look up once a second and then have SHUTDOWN_SECONDS for what is in hand; the
# document store waits two seconds for a call that may still come.
DOORS_AND_WORKERS, SWEEPER, GROUND = 0, 1, 2
PATIENCE = {DOORS_AND_WORKERS: 9.0, SWEEPER: 1.5, GROUND: 3.0}
# Workers whose master is gone give their work back and end by themselves. They are not asked to: a request
# on top of their own makes dramatiq drop what they hold. Whoever is there after this long is killed.
LEFT_OVER_SECONDS = 4.0


class Keeper:
    """All children of one sandbox, and the thread that looks after them."""

    def __init__(self, output: Output, record: Callable[[Mapping[str, int]], None]) -> None:
        self._output, self._record = output, record
        self._children: dict[str, Child] = {}
        self._left_over: list[tuple[int, float]] = []  # group, when it is killed
        self._changing = threading.Lock()
        # Written by the handler of signals, which may interrupt anything: no lock, no queue, no event there.
        self._asked: list[float] = []
        self._ending = False
        self._watcher = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def listen(self) -> None:
        """Take Ctrl-C, SIGTERM and the closing of the terminal as the request to end; a second one hurries."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: self._asked.append(time.monotonic()))
        self._watcher.start()

    def add(self, child: Child) -> None:
        """Start a child and look after it from now on. Raises Refused when it cannot be started at all."""
        with self._changing:
            try:
                child.start(self._output, time.monotonic())
            except OSError as error:
                raise Refused(f"{child.words[0]} cannot be started ({error.strerror}).", code=1) from None
            self._children[child.name] = child
            self._write_down()

    @property
    def stopping(self) -> bool:
        """Whether someone has asked the world to end."""
        return self._ending or bool(self._asked)

    @property
    def hurried(self) -> bool:
        """Whether someone has asked again. A terminal and `make` may both pass on one Ctrl-C."""
        return bool(self._asked) and self._asked[-1] - self._asked[0] > 1

    def pause(self) -> None:
        """Wait a moment. Raises Stopped when the world is to end."""
        time.sleep(0.1)
        if self.stopping:
            raise Stopped

    def until(self, holds: Callable[[], bool], *, what: str, seconds: float) -> bool:
        """Wait until something holds, and say so meanwhile; False when it took too long. Raises Stopped."""
        began = time.monotonic()
        with self._output.waiting(what):
            while not holds():
                if time.monotonic() - began >= seconds:
                    return False
                self.pause()
        return True

    def wait(self) -> None:
        """Return when someone asks the world to end."""
        while not self.stopping:
            time.sleep(0.1)

    def names(self) -> set[str]:
        """Return the names of all children, running or not."""
        return set(self._children)

    def pids(self) -> dict[str, int]:
        """Return the number of every child that runs, by name."""
        pids = {name: child.pid for name, child in self._children.items()}
        return {name: pid for name, pid in pids.items() if pid is not None}

    def pids_with_workers(self, masters: Collection[str]) -> dict[str, int | list[int]]:
        """Return the same; for those named, a list of the master's number and those of its workers."""
        rows = processes.table()

        def listed(master: int) -> list[int]:
            return [master, *sorted(row.pid for row in rows if row.parent == master)]

        return {name: listed(pid) if name in masters else pid for name, pid in self.pids().items()}

    def stop(self) -> None:
        """End every child, rank by rank; whoever does not go in time, or when hurried, is killed."""
        self._ending = True
        if self._asked:
            self._output.say("ending everything; a second request ends it at once")
        if self._watcher.is_alive():
            self._watcher.join()
        for rank, seconds in PATIENCE.items():
            ending = {
                name: child.process.pid
                for name, child in self._children.items()
                if child.rank == rank and child.process is not None
            }
            groups = {*ending.values(), *(group for group, _ in self._left_over)}
            if groups:
                with self._output.waiting(f"{', '.join(ending) or 'what was left over'} to end"):
                    processes.end(
                        functools.partial(processes.in_groups, groups),
                        seconds=seconds,
                        hurried=lambda: self.hurried,
                    )
        for child in self._children.values():
            if child.process is not None:
                child.process.poll()  # so that none remains as a zombie of ours

    def _watch(self) -> None:
        while not self.stopping:
            time.sleep(0.1)
            with self._changing:
                changed = [self._look_at(child) for child in self._children.values()]
                self._end_left_over()
                if any(changed):
                    self._write_down()

    def _look_at(self, child: Child) -> bool:
        """Notice a death, or start anew what is due; tell whether the list of processes has changed."""
        now = time.monotonic()
        if child.due is None and child.pid is None:
            pause = child.pause(now)
            child.due = now + pause
            self._output.say(f"{child.name} {child.ended_how()}; starting it anew in {pause:.1f} s")
            if child.process is not None:
                self._left_over.append((child.process.pid, now + LEFT_OVER_SECONDS))
            return True
        if child.due is not None and now >= child.due:
            try:
                child.start(self._output, now)
            except OSError as error:
                child.due = now + child.pause(now)
                self._output.say(f"{child.name} cannot be started ({error.strerror})")
            return True
        return False

    def _end_left_over(self) -> None:
        for group, deadline in self._left_over:
            if time.monotonic() >= deadline:
                processes.end(functools.partial(processes.in_groups, {group}), seconds=0)
        self._left_over = [
            (group, deadline)
            for group, deadline in self._left_over
            if time.monotonic() < deadline and processes.in_groups({group})
        ]

    def _write_down(self) -> None:
        try:
            self._record(self.pids())
        except OSError as error:  # a full disk ends neither this thread nor the world
            self._output.say(f"the list of processes could not be written ({error.strerror})")
