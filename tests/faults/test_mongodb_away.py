"""MongoDB in every kind of trouble: nothing is promised that cannot be kept, and nothing kept is lost.

While it lasts a POST is answered 503 in time, the web process is alive and not ready, and the workers wait
without counting anything. A write whose reply was lost has happened once, whoever sent it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.faults.ground import SLACK, Ground

Trouble = Callable[[Ground], AbstractContextManager[None]]
TROUBLES: dict[str, Trouble] = {
    "refuses": lambda ground: ground.mongodb.weather(refuse=True),
    "resets": lambda ground: ground.mongodb.weather(reset=True),
    "stalls": lambda ground: ground.mongodb.weather(stall=True),
    "hears nothing": lambda ground: ground.mongodb.weather(lose="up"),
    "is not heard": lambda ground: ground.mongodb.weather(lose="down"),
    "is frozen": lambda ground: ground.frozen("mongodb"),
    "is killed": lambda ground: ground.killed("mongodb"),
}
QUICK = ("is frozen", "is killed")  # it says nothing, or it is not there
WORKERS = ("fetch", "render", "render")
OUTAGE_SECONDS = 6.0  # beyond each time limit of the door, and several looks of the sweeper


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with Ground(tmp_path_factory.mktemp("ground")) as ground:
        yield ground


def rows() -> list[object]:
    """Every trouble with a handful of imports or, in the full matrix, with many."""
    few = [
        pytest.param(kind, 8, id=kind, marks=[] if kind in QUICK else [pytest.mark.slow]) for kind in TROUBLES
    ]
    many = [
        pytest.param(kind, 200, id=f"{kind}, many", marks=[pytest.mark.slow, pytest.mark.timeout(600)])
        for kind in TROUBLES
    ]
    return [*few, *many]


@pytest.mark.parametrize(("kind", "count"), rows())
def test_mongodb_in_trouble_is_a_503_and_a_wait(ground: Ground, kind: str, count: int) -> None:
    """Posted before it and done after it; in between nothing is accepted, counted, burnt or said twice."""
    since = ground.place()
    ids, _ = ground.post(count)
    with TROUBLES[kind](ground):
        ground.refused()
        worked, begun = ground.cpu_seconds(), time.monotonic()
        time.sleep(OUTAGE_SECONDS)
        burnt = {name: spent - worked.get(name, 0.0) for name, spent in ground.cpu_seconds().items()}
        lasted = time.monotonic() - begun
        ground.refused()
    ground.heals(since)
    assert {name: spent for name, spent in burnt.items() if spent > 0.2 * lasted} == {}
    kept = ground.kept(ids)
    assert [one for one, document in kept.items() if document["attempts"] or document["deliveries"]] == []
    events = [[entry["event"] for entry in document["history"]] for document in kept.values()]
    assert max(happened.count("fetching") for happened in events) <= 2
    assert len(ground.said(since, "store away")) <= 1
    for once in ("claims not renewed", "documents away"):
        told = ground.said(since, once)
        assert len(told) <= len(WORKERS), "\n".join(told)


def test_a_slow_mongodb_slows_and_breaks_nothing(ground: Ground) -> None:
    """A tenth of a second each way: requests are answered 200 or 503, and the imports come to their end."""
    since = ground.place()
    with ground.mongodb.weather(latency=0.1):
        attachment_id = next(iter(ground.world.samples().values()))
        answers = []
        for _ in range(6):
            begun = time.monotonic()
            answers.append(ground.world.post(attachment_id, "slow").status_code)
            assert time.monotonic() - begun < 2 * SLACK
        assert set(answers) <= {200, 503}
        time.sleep(2)
    ground.heals(since)


def test_an_insert_whose_reply_is_lost_makes_one_import(ground: Ground) -> None:
    """The door asks again under the id that it has made: 200, one document, one image."""
    since = ground.place()
    before = ground.world.db.imports.count_documents({})
    for _ in range(3):
        lost = ground.mongodb.dropped
        ground.mongodb.drop_reply(b"\x02insert\x00", b"imports\x00")
        ground.post(1)
        assert ground.mongodb.dropped == lost + 1
    ground.heals(since)
    assert ground.world.db.imports.count_documents({}) == before + 3


IMPORTS = b"\x02update\x00\x08\x00\x00\x00imports\x00"
IMAGES = b"\x02update\x00\x07\x00\x00\x00images\x00"
SET = b"$set\x00"


def status(name: str) -> bytes:
    """Return a status as it stands in a document on the wire."""
    text = name.encode() + b"\x00"
    return b"\x02status\x00" + len(text).to_bytes(4, "little") + text


@pytest.mark.parametrize(
    ("words", "claims"),
    [
        pytest.param((IMPORTS, SET, status("fetching")), 1, id="claiming the fetch"),
        pytest.param((IMPORTS, SET, status("fetched")), 1, id="ending the fetch"),
        pytest.param((IMPORTS, SET, status("rendering")), 1, id="claiming the render"),
        pytest.param((IMAGES,), 1, id="recording the image"),
        pytest.param((IMPORTS, SET, status("succeeded")), 1, id="ending the import"),
    ],
)
def test_a_worker_whose_write_landed_unheard_goes_on(
    ground: Ground, words: tuple[bytes, ...], claims: int
) -> None:
    """Each write of an import's way lands while its reply is lost: it is recognized, and nothing is done twice."""
    since, lost = ground.place(), ground.mongodb.dropped
    ground.mongodb.drop_reply(*words)
    ids, _ = ground.post(1)
    ground.heals(since)
    assert ground.mongodb.dropped == lost + 1
    told = [entry["event"] for entry in ground.kept(ids)[ids[0]]["history"]]
    assert (told.count("fetching"), told.count("rendering")) == (claims, claims)
    assert (told.count("fetched"), told.count("succeeded")) == (1, 1)
