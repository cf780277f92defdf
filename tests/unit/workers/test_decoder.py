"""Whatever happens to a decoding child, its picture is rendered or refused, and nobody else notices."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from PIL import Image

from tests.unit.workers.pictures import RED, quadrants, saved, seen
from tests.unit.workers.processes import alive, children_of, eventually, on_each_child, stopped
from workers.decoding.client import Decoder
from workers.failures import Interrupted, Permanent, Throttled
from workers.imaging.limits import Limits
from workers.imaging.rendering import Rendering

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

PICTURE = saved(quadrants((900, 600)), "JPEG")
NEVER = threading.Event()


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with running() as decoder:
        yield decoder


@contextlib.contextmanager
def running(**options: Any) -> Iterator[Decoder]:
    decoder = Decoder(**options)
    decoder.start()
    try:
        yield decoder
    finally:
        decoder.stop()


@contextlib.contextmanager
def spooled(data: bytes) -> Iterator[BinaryIO]:
    """An anonymous file, as the worker's spool is."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        yield file


def render(decoder: Decoder, data: bytes = PICTURE, **limits: Any) -> Rendering:
    with spooled(data) as file:
        return decoder.render(file, stopping=NEVER, limits=Limits(**limits) if limits else None)


def child_of(decoder: Decoder) -> int:
    assert decoder.server_pid is not None
    (pid,) = children_of(decoder.server_pid)
    return pid


def server_of(decoder: Decoder) -> int:
    assert decoder.server_pid is not None
    return decoder.server_pid


def test_a_child_renders_what_this_process_would(decoder: Decoder) -> None:
    """Isolation changes no byte and loses no fact."""
    assert render(decoder) == seen(PICTURE)


def test_a_refusal_crosses_and_costs_no_child(decoder: Decoder) -> None:
    """Code and sentence arrive, and the child goes on with the next picture."""
    render(decoder)
    child = child_of(decoder)
    with pytest.raises(Permanent) as caught:
        render(decoder, PICTURE[:2000])
    assert caught.value.code == "image_truncated"
    assert "Upload the whole file again" in caught.value.detail
    assert render(decoder).width == 900
    assert child_of(decoder) == child


def test_threads_share_one_decoder(decoder: Decoder) -> None:
    """A child each, one file for all, and its position stays where it was."""
    with spooled(PICTURE) as file, ThreadPoolExecutor(4) as pool:
        before = file.tell()
        renderings = list(pool.map(lambda _: decoder.render(file, stopping=NEVER), range(20)))
        assert file.tell() == before
    assert all(rendering == seen(PICTURE) for rendering in renderings)
    assert len(children_of(server_of(decoder))) <= 4


def test_slots_bound_the_children() -> None:
    """More callers than slots wait for each other."""
    with running(slots=1) as decoder, ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(lambda _: render(decoder), range(8)))) == 8
        assert len(children_of(server_of(decoder))) == 1


def test_children_are_replaced_and_leave_nothing() -> None:
    """Sixty pictures by children of seven pictures each, and never more than one child at a time."""
    pids = set()
    with running(reuse=7) as decoder:
        server = server_of(decoder)
        for _ in range(60):
            assert render(decoder).width == 900
            pids |= children_of(server)
            assert len(children_of(server)) <= 1
    assert len(pids) >= 8
    assert not any(alive(pid) for pid in {*pids, server})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_resting_is_replaced(decoder: Decoder, number: int) -> None:
    """Its death is no picture's fault."""
    render(decoder)
    child = child_of(decoder)
    os.kill(child, number)
    assert eventually(lambda: not alive(child))
    assert render(decoder).width == 900


@contextlib.contextmanager
def held(decoder: Decoder) -> Iterator[tuple[int, Future[Rendering], threading.Event]]:
    """Hold a child in the middle of a picture: it is stopped before it is given one."""
    render(decoder)
    child, stopping = child_of(decoder), threading.Event()
    os.kill(child, signal.SIGSTOP)
    assert eventually(lambda: stopped(child))
    with spooled(PICTURE) as file, ThreadPoolExecutor(1) as pool:
        yield child, pool.submit(decoder.render, file, stopping=stopping), stopping


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_tried_once_more(decoder: Decoder, number: int) -> None:
    """The picture is rendered by a fresh child."""
    with held(decoder) as (child, future, _):
        os.kill(child, number)
        os.kill(child, signal.SIGCONT)
        assert future.result(20).width == 900
    assert child_of(decoder) != child


def slow_picture() -> bytes:
    """A picture that takes some tenths of a second, so that a child can be caught at it."""
    return saved(Image.new("RGB", (7000, 7000), RED), "PNG", compress_level=1)


@pytest.mark.parametrize(
    ("strike", "code"),
    [(signal.SIGSEGV, "decoder_crashed"), (signal.SIGSTOP, "render_timeout")],
)
def test_a_picture_that_fells_two_children_is_refused(decoder: Decoder, strike: int, code: str) -> None:
    """Twice is enough, whether they die or stand still; the next picture meets a sound child."""
    data = slow_picture()
    with on_each_child(server_of(decoder), lambda pid: os.kill(pid, strike)) as struck:
        with pytest.raises(Permanent) as caught:
            render(decoder, data, seconds=1.5)
        assert caught.value.code == code
        assert len(struck) == 2
    assert eventually(lambda: not any(alive(pid) for pid in struck))
    assert render(decoder).width == 900


def test_a_child_that_stands_still_is_replaced_in_time(decoder: Decoder) -> None:
    """The limit on wall time is enforced from outside."""
    render(decoder)
    child = child_of(decoder)
    os.kill(child, signal.SIGSTOP)
    assert render(decoder, seconds=1.0).width == 900
    assert not alive(child)


def test_a_picture_that_computes_without_end_is_refused(decoder: Decoder) -> None:
    """Where no limit of the header holds, the kernel's limit on processor time does."""
    data = saved(quadrants((2000, 1500)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    bomb = data[:last] + data[last:-2] * 8000 + data[-2:]
    with pytest.raises(Permanent) as caught:
        render(decoder, bomb, scans=10**9, cpu_seconds=1.0)
    assert caught.value.code == "image_too_complex"
    assert render(decoder).width == 900


def test_a_picture_that_would_want_too_much_memory_is_refused_unseen(decoder: Decoder) -> None:
    """What its decoder would need is known from its header, so the child spends nothing and goes on."""
    data = slow_picture()
    render(decoder)
    child = child_of(decoder)
    with pytest.raises(Permanent) as caught:
        render(decoder, data, memory_bytes=256 * 2**20)
    assert caught.value.code == "image_too_large"
    assert child_of(decoder) == child
    assert render(decoder, data).width == 7000


def test_a_picture_that_lies_about_its_memory_meets_the_wall(decoder: Decoder) -> None:
    """Sixty-four pixels in a tile of gigabytes: the child says so, is given up, and the next has all of its own."""
    render(decoder)
    child = child_of(decoder)
    with pytest.raises(Permanent) as caught:
        render(decoder, tiff_of_one_tile(60_000))
    assert caught.value.code == "render_memory"
    assert not alive(child)
    assert render(decoder).width == 900


def tiff_of_one_tile(edge: int) -> bytes:
    """Write a TIFF of 64 x 1 grey pixels that lie in one tile of `edge` x `edge`."""
    numbers = {256: 64, 257: 1, 258: 8, 259: 5, 262: 1, 277: 1, 322: edge, 323: edge, 324: 200, 325: 100}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in numbers.items())
    head = struct.pack("<2sHIH", b"II", 42, 8, len(numbers)) + tags + bytes(4)
    return head.ljust(200, b"\0") + bytes(range(100))


def test_a_stop_ends_the_picture_in_work(decoder: Decoder) -> None:
    """A worker that is told to stop gives its picture back at once and leaves no child at it."""
    with held(decoder) as (child, future, stopping):
        stopping.set()
        with pytest.raises(Interrupted):
            future.result(5)
    assert not alive(child)
    assert render(decoder).width == 900


@pytest.mark.parametrize("at_work", [False, True])
def test_a_killed_fork_server_is_replaced(decoder: Decoder, at_work: bool) -> None:
    """Its children die with it, the picture in work is rendered by another, and no crash is counted."""
    server = server_of(decoder)
    if at_work:
        with held(decoder) as (child, future, _):
            os.kill(server, signal.SIGKILL)
            assert future.result(20).width == 900
    else:
        render(decoder)
        child = child_of(decoder)
        os.kill(server, signal.SIGKILL)
        assert render(decoder).width == 900
    assert server_of(decoder) != server
    assert eventually(lambda: not alive(child) and not alive(server))


def test_a_fork_server_that_stands_still_is_replaced(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that gets no answer ends it with its whole group."""
    monkeypatch.setattr("workers.decoding.forkserver._ANSWER_SECONDS", 0.5)
    render(decoder)
    server, child = server_of(decoder), child_of(decoder)
    os.kill(server, signal.SIGSTOP)
    os.kill(child, signal.SIGKILL)
    assert eventually(lambda: not alive(child))
    assert render(decoder).width == 900
    assert server_of(decoder) != server
    assert not alive(server)


def test_signals_for_the_whole_group_leave_the_work_to_the_worker(decoder: Decoder) -> None:
    """Ctrl-C and a polite stop are the worker's to answer: it may still finish what it has."""
    render(decoder)
    server, child = server_of(decoder), child_of(decoder)
    assert os.getpgid(server) == os.getpgid(child) == server
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.killpg(server, number)
    assert render(decoder).width == 900
    assert (server_of(decoder), child_of(decoder)) == (server, child)


def test_nothing_runs_after_stop(decoder: Decoder) -> None:
    """A stopped decoder has no process, and says that it waits instead of beginning one."""
    render(decoder)
    server, child = server_of(decoder), child_of(decoder)
    decoder.stop()
    assert not alive(server)
    assert not alive(child)
    with pytest.raises(Throttled) as caught:
        render(decoder)
    assert caught.value.waiting_for == "decoder"
    decoder.start()
    assert render(decoder).width == 900


def test_a_child_holds_little_and_may_do_less(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread in the server; no secret, no file, no dump, no byte to write in a child."""
    monkeypatch.setenv("TOKEN_SECRETS", "not for the decoder")
    decoder.stop()
    decoder.start()
    render(decoder)
    server, child = Path(f"/proc/{server_of(decoder)}"), Path(f"/proc/{child_of(decoder)}")
    assert "Threads:\t1\n" in (server / "status").read_text()
    assert b"TOKEN_SECRETS" not in (child / "environ").read_bytes()
    assert {each.name for each in (child / "fd").iterdir()} == {"0", "1", "2", "3"}
    limits = {line[:25].strip(): line[25:].split()[0] for line in (child / "limits").read_text().splitlines()}
    assert (limits["Max core file size"], limits["Max file size"]) == ("0", "0")
    assert limits["Max address space"] == str(Limits().memory_bytes)
    assert "NoNewPrivs:\t1" in (child / "status").read_text()


def test_a_machine_that_cannot_fork_makes_imports_wait(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No interpreter, no memory for one: that says nothing about the picture."""
    decoder.stop()
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(Throttled) as caught:
        decoder.start()
    assert caught.value.code == "decoder_unavailable"
