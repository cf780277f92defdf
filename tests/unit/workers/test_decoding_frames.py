"""What a child says is not believed unless it is shaped like what our code says."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.workers.pictures import quadrants, saved, seen
from workers.decoding import frames
from workers.decoding.messages import (
    UnbelievableError,
    refusal_header,
    refusal_of,
    result_header,
    result_of,
    result_size,
)
from workers.imaging.refusals import refusal
from workers.imaging.variants import DEFAULT, parse

PLAIN = seen(saved(quadrants(), "PNG"))
RECIPE = parse(DEFAULT)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_frame_arrives_whole_with_its_descriptors(pair: tuple[socket.socket, socket.socket]) -> None:
    """Header, bytes and descriptor are what was sent."""
    ours, theirs = pair
    readable, writable = os.pipe()
    frames.send(ours, {"a": "é"}, body=b"bytes", descriptors=[writable])
    os.close(writable)
    header, (received,) = frames.receive(theirs)
    assert (header, frames.receive_bytes(theirs, 5)) == ({"a": "é"}, b"bytes")
    os.write(received, b"through")
    os.close(received)
    assert os.read(readable, 100) == b"through"
    os.close(readable)


@pytest.mark.parametrize(
    "said",
    [b"", b"\0\0", b"\0\0\0\5{}", b"\xff\xff\xff\xff{}", b"\0\0\0\2[]", b"\0\0\0\3{a}", b"\0\0\0\2\xff\xfe"],
)
def test_nonsense_is_an_end(pair: tuple[socket.socket, socket.socket], said: bytes) -> None:
    """Too little, too much, or no JSON object: the other side counts as gone."""
    ours, theirs = pair
    theirs.sendall(said)
    theirs.close()
    with pytest.raises(frames.ClosedError):
        frames.receive(ours)


def test_patience_ends_in_the_middle_of_a_frame(pair: tuple[socket.socket, socket.socket]) -> None:
    """What the waiting raises comes out as it is, also between two bytes."""
    ours, theirs = pair
    theirs.sendall(b"\0\0")
    looks = iter((None, TimeoutError()))

    def ready() -> None:
        if (error := next(looks)) is not None:
            raise error

    with pytest.raises(TimeoutError):
        frames.receive(ours, ready=ready)


def test_a_rendering_survives_the_way() -> None:
    """Every field and every byte arrives."""
    rendering = seen(saved(quadrants(), "PNG"))
    header, body = result_header(rendering)
    assert result_size(header) == len(body)
    assert result_of(json.loads(json.dumps(header)), body, recipe=RECIPE) == rendering


def test_a_refusal_survives_the_way() -> None:
    """Code and sentence arrive; a code that is not ours is not believed."""
    failure = refusal_of(refusal_header(refusal("image_empty")))
    assert (failure.code, failure.detail) == ("image_empty", refusal("image_empty").detail)
    lies: list[object] = [
        None,
        [],
        {},
        {"code": "root", "detail": "x"},
        {"code": "image_empty", "detail": 1},
        {"code": []},
    ]
    for lie in lies:
        with pytest.raises(UnbelievableError):
            refusal_of(lie)


@pytest.mark.parametrize(
    "lie",
    [
        {"width": -1},
        {"height": True},
        {"format": None},
        {"camera": "x" * 2000},
        {"gps": {"latitude": "x"}},
        {"gps": 3},
        {"gps": {"latitude": float("nan")}},
        {"gps": {"latitude": 10**400}},
        {"width": 2**40},
        {"frames": 0},
        {"orientation": "1"},
        {"exposure": {"seconds": None}},
        {"dominant_color": ["#000000"]},
        {"content_type": "text/html"},
        {"variants": []},
        {"variants": [{"bytes": 3}]},
    ],
)
def test_a_rendering_of_lies_is_not_believed(lie: dict[str, Any]) -> None:
    """A child that was taken over cannot put odd values into the record."""
    header, body = result_header(seen(saved(quadrants(), "PNG")))
    with pytest.raises(UnbelievableError):
        result_of(header | lie, body, recipe=RECIPE)


@pytest.mark.parametrize(
    "variants", [None, 3, [3], [{}], [{"bytes": -1}], [{"bytes": "3"}], [{"bytes": 2**40}]]
)
def test_absurd_sizes_are_not_waited_for(variants: object) -> None:
    """Nobody reads gigabytes because a child says so."""
    with pytest.raises(UnbelievableError):
        result_size({"variants": variants})


NUMBERS = st.floats() | st.integers() | st.none() | st.text(max_size=5)
TEXTS = st.text(max_size=3_000) | st.none()


@settings(max_examples=200, deadline=None)
@given(
    TEXTS,
    TEXTS,
    st.none() | st.dictionaries(TEXTS, NUMBERS, max_size=4),
    st.none() | st.dictionaries(TEXTS, NUMBERS),
)
def test_what_a_file_says_of_itself_never_fails_it(
    taken_at: str | None, camera: str | None, gps: Any, exposure: Any
) -> None:
    """Whatever metadata reads as, the exchange brings the picture; what cannot be true is left out."""
    odd = replace(PLAIN, taken_at=taken_at, camera=camera, gps=gps, exposure=exposure)
    header, body = result_header(odd)
    found = result_of(json.loads(json.dumps(header)), body, recipe=RECIPE)
    assert (found.width, found.variants) == (PLAIN.width, PLAIN.variants)
    assert found.gps is None or all(abs(value) < 10**9 for value in found.gps.values())
