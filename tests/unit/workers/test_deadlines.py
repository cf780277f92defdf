"""A deadline wakes whoever is blocked on a socket, and the watchdog is there only while it is needed."""

from __future__ import annotations

import socket
import threading
import time

from workers.deadlines import TICK, Deadline, on_duty


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_runs_out_and_never_below_zero() -> None:
    """What remains is counted down to zero; a part of the work ends with the whole at the latest."""
    clock = Clock()
    deadline = Deadline(10, stopping=threading.Event(), monotonic=clock)
    part, longer = deadline.at_most(3), deadline.at_most(30)
    assert (deadline.remaining(), part.remaining(), longer.remaining()) == (10, 3, 10)
    clock.now = 4
    assert (deadline.expired(), part.expired(), deadline.remaining()) == (False, True, 6)
    clock.now = 11
    assert (deadline.expired(), deadline.remaining(), longer.expired()) == (True, 0, True)


def test_an_order_to_stop_ends_it_before_time() -> None:
    """`stopping` is shared with every part, and ends work that has time left."""
    stopping = threading.Event()
    part = Deadline(10, stopping=stopping).at_most(5)
    assert not part.over()
    stopping.set()
    assert part.over()
    assert not part.expired()


def blocked(deadline: Deadline) -> bytes:
    """Read from a connection on which nothing comes, under a deadline."""
    ours, theirs = socket.socketpair()
    with ours, theirs, deadline.watched() as watch:
        ours.settimeout(30)
        watch.use(ours, reused=False)
        return ours.recv(1)


def test_a_blocked_read_is_woken_in_time() -> None:
    """A read that would wait half a minute returns when the deadline has passed."""
    begun = time.monotonic()
    assert blocked(Deadline(0.2, stopping=threading.Event())) == b""
    assert time.monotonic() - begun < 20


def test_a_blocked_read_is_woken_by_the_order_to_stop() -> None:
    """The same without waiting for the deadline."""
    stopping = threading.Event()
    timer = threading.Timer(0.1, stopping.set)
    timer.start()
    begun = time.monotonic()
    assert blocked(Deadline(60, stopping=stopping)) == b""
    assert time.monotonic() - begun < 20
    timer.join()


def test_a_socket_that_comes_too_late_is_shut_at_once() -> None:
    """A connection opened after the end serves nobody: its first read returns."""
    stopping = threading.Event()
    stopping.set()
    assert blocked(Deadline(60, stopping=stopping)) == b""


def test_only_the_last_socket_is_watched() -> None:
    """A connection given back to its pool is no longer touched, even if this work then runs out of time."""
    deadline = Deadline(60, stopping=threading.Event())
    first, second = socket.socketpair(), socket.socketpair()
    with deadline.watched() as watch:
        assert on_duty() is watch
        watch.use(first[0], reused=True)
        watch.use(second[0], reused=False)
        assert not watch.reused
        watch.shut()
        first[1].send(b"x")
        assert first[0].recv(1) == b"x"
        assert second[0].recv(1) == b""
    assert on_duty() is None
    for one in (*first, *second):
        one.close()


def test_the_watchdog_goes_when_nobody_works() -> None:
    """Threads do not pile up: there is at most one, and none after the work."""
    with (
        Deadline(60, stopping=threading.Event()).watched(),
        Deadline(60, stopping=threading.Event()).watched(),
    ):
        assert [thread.name for thread in threading.enumerate()].count("deadlines") == 1
    for _ in range(100):
        if "deadlines" not in [thread.name for thread in threading.enumerate()]:
            break
        time.sleep(TICK)
    assert "deadlines" not in [thread.name for thread in threading.enumerate()]
