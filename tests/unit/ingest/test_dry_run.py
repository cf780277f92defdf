"""A dry run tells what a request would do and does nothing: no document, no job but the question itself."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from common.blobs.reading import FileReader
from common.queue.broker import producer
from common.queue.questions import AT_ONCE, Questions
from tests.doors import FORM, ORGANIZATION_ID, Door

CASE, RECORD = "5005800000HEXCtAAP", "00P4I00000zyw3eUAA"
IMPORTS, GROUPS = "/api/v1/imports", "/api/v1/import_groups"
ASKED = {IMPORTS: f"attachment_id={RECORD}", GROUPS: f"album_id={CASE}"}
SEEN = {"id": RECORD, "name": None, "size": 5, "type": "image/png", "md5": None}
FOUND = {"problems": [], "record": SEEN, "reuses": None, "api_calls": 1}
COUNTED = {"problems": [], "counts": {"new": 2, "existing": 0, "skipped": 1}, "api_calls": 3}
# What nobody should find in the place of an answer, and answers with one value that does not belong there.
ODD_ANSWERS = [
    *(b"[]", b"null", b'"x"', b"{}", b"\xff", b"no JSON", b"", b"[" * 100_000, b"1" * 5_000),
    *(
        json.dumps(FOUND | odd).encode()
        for odd in (
            {"problems": None},
            {"problems": ["x"]},
            {"problems": [{"code": 1, "detail": "x"}]},
            {"record": []},
            {"record": {"id": RECORD}},
            {"record": SEEN | {"size": "5"}},
            {"record": SEEN | {"size": True}},
            {"reuses": 5},
            {"api_calls": 1.5},
        )
    ),
    *(json.dumps(COUNTED | {"counts": odd}).encode() for odd in ([], {"new": 1}, {"new": "1"})),
]


def tried(door: Door, path: str, body: str, mode: str = "true") -> Any:
    return door.call("POST", f"{path}?dry_run={mode}", headers=[FORM], body=body.encode())


def answering(door: Door, answer: dict[str, Any] | bytes) -> tuple[threading.Thread, list[Any]]:
    """Be the workers for one question; bytes are given as they are."""
    asked: list[Any] = []

    def run() -> None:
        questions = Questions(door.redis, producer(door.redis))
        for _ in range(200):
            for key in door.redis.scan_iter("imports:question:*"):
                name = key.decode().rpartition(":")[2]
                asked.append(json.loads(questions.take(name) or "{}"))
                written = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                door.redis.set(f"imports:answer:{name}", written)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, asked


@pytest.mark.parametrize(
    ("path", "body", "codes"),
    [
        (IMPORTS, f"attachment_id={RECORD}", []),
        (IMPORTS, "attachment_id=x", ["attachment_id_invalid"]),
        (IMPORTS, "", ["attachment_missing"]),
        (IMPORTS, "import_type=x", ["import_type_unknown"]),
        (GROUPS, f"album_id={CASE}", []),
        (GROUPS, "album_id=x&max_bytes=no", ["album_id_invalid", "parameter_invalid"]),
    ],
)
def test_offline_it_judges_and_writes_nothing(path: str, body: str, codes: list[str]) -> None:
    """200 with three keys in their order, whatever is wrong; nothing is recorded and nobody is asked."""
    with Door() as door:
        answer = tried(door, path, body)
        assert (answer.status, list(answer.json())) == (200, ["dry_run", "accepted", "problems"])
        assert (answer.json()["dry_run"], answer.json()["accepted"]) == (True, not codes)
        assert [problem["code"] for problem in answer.json()["problems"]] == codes
        assert answer["x-token"] is not None
        assert not door.imports.documents
        assert not door.groups.documents
        assert not door.rung
        assert not door.redis.keys("*")


def test_in_a_body_it_is_a_parameter_like_any_other() -> None:
    """Old clients may send a field of that name: it is echoed, and the import is made."""
    with Door() as door:
        answer = door.call("POST", IMPORTS, headers=[FORM], body=b"dry_run=true")
        assert answer.json()["params"]["dry_run"] == "true"
        assert len(door.imports.documents) == 1


@pytest.mark.parametrize("mode", ["yes", "", "1", "onlin"])
def test_misspelt_it_makes_nothing(mode: str) -> None:
    """Whoever means to try must not find that it was done."""
    with Door() as door:
        answer = tried(door, IMPORTS, f"attachment_id={RECORD}", mode)
        assert (answer.status, answer.json()["code"]) == (422, "parameter_invalid")
        assert not door.imports.documents


def test_false_means_what_it_says() -> None:
    """A client may always send the parameter."""
    with Door() as door:
        assert tried(door, IMPORTS, f"attachment_id={RECORD}", "false").json()["params"]["dry_run"] == "false"
        assert len(door.imports.documents) == 1


def test_online_the_workers_answer() -> None:
    """The question names organization and record; the answer follows the three keys, and nothing stays behind."""
    with Door(dry_run_seconds=5.0) as door:
        thread, asked = answering(door, FOUND)
        answer = tried(door, IMPORTS, f"attachment_id={RECORD}", "online")
        thread.join()
        assert answer.json() == {"dry_run": True, "accepted": True, **FOUND}
        assert asked == [{"organization_id": ORGANIZATION_ID, "record_id": RECORD}]
        assert not door.imports.documents
        assert not door.redis.keys("imports:*")


def test_online_a_group_is_asked_for_with_its_options() -> None:
    """The workers list as the group's own job would."""
    with Door(dry_run_seconds=5.0) as door:
        thread, asked = answering(door, COUNTED)
        answer = tried(door, GROUPS, f"album_id={CASE}&created_since=2026-01-01", "online")
        thread.join()
        assert answer.json()["counts"] == COUNTED["counts"]
        assert asked[0]["album_id"] == CASE
        assert asked[0]["options"]["created_since"] == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize("written", ODD_ANSWERS, ids=lambda written: f"{len(written)} bytes")
def test_an_answer_that_is_none_is_503(written: bytes) -> None:
    """What another release or a foreign hand has put there is as no answer: 503, and no place is kept."""
    path = GROUPS if b"counts" in written else IMPORTS
    with Door(dry_run_seconds=5.0) as door:
        thread, _ = answering(door, written)
        answer = tried(door, path, ASKED[path], "online")
        thread.join()
        assert (answer.status, answer["retry-after"]) == (503, "2")
        assert not door.redis.keys("imports:*")


@pytest.mark.parametrize(("path", "found"), [(IMPORTS, FOUND), (GROUPS, COUNTED)])
def test_of_an_answer_only_what_belongs_there_is_told(path: str, found: dict[str, Any]) -> None:
    """An answer cannot say that this was no dry run, or accepted; what it holds beyond its keys stays inside."""
    more = {**found, "dry_run": 1, "accepted": False, "odd": "x"}
    for name in ("record", "counts"):
        if name in found:
            more[name] = {**found[name], "odd": "x"}
    more["problems"] = [{"code": "image_empty", "detail": "No bytes.", "odd": "x"}]
    problems = [{"code": "image_empty", "detail": "No bytes."}]
    with Door(dry_run_seconds=5.0) as door:
        thread, _ = answering(door, more)
        answer = tried(door, path, ASKED[path], "online")
        thread.join()
        assert answer.json() == {"dry_run": True, "accepted": False, **found, "problems": problems}


def test_without_an_answer_it_is_503_and_the_next_one_may_be_asked() -> None:
    """No worker, no answer: the caller is told when to come back, and no place is kept."""
    with Door() as door:
        for _ in range(AT_ONCE + 1):
            answer = tried(door, IMPORTS, f"attachment_id={RECORD}", "online")
            assert (answer.status, answer["retry-after"]) == (503, "2")


def test_with_redis_away_it_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run needs Redis, where an import does not."""

    class Away:
        def ask(self, *_: str) -> bool:
            raise redis.ConnectionError

    with Door(questions=Away()) as door:
        assert tried(door, IMPORTS, f"attachment_id={RECORD}", "online").status == 503
        assert door.call("POST", IMPORTS, headers=[FORM], body=b"").status == 200


def test_one_organization_asks_few_at_once() -> None:
    """Whoever tries out records by the thousand takes no more of the workers than importing may."""
    with Door() as door:
        questions = Questions(door.redis, producer(door.redis))
        for number in range(AT_ONCE):
            assert questions.ask(f"q{number}", ORGANIZATION_ID, "{}")
        answer = tried(door, IMPORTS, f"attachment_id={RECORD}", "online")
        assert (answer.status, answer.json()["code"]) == (429, "too_many_requests")
        assert questions.ask("other", "another organization", "{}")
        questions.done("q0", ORGANIZATION_ID)
        assert tried(door, IMPORTS, f"attachment_id={RECORD}", "online").status == 503


def test_with_redis_silent_files_are_still_read(tmp_path: Path) -> None:
    """Dry runs wait for Redis in threads of their own: those in which pictures are read stay free."""
    key = f"{ORGANIZATION_ID}/originals/{'0' * 64}"
    (tmp_path / key).parent.mkdir(parents=True)
    (tmp_path / key).write_bytes(b"picture")
    answered = threading.Event()

    class Silent:
        def ask(self, *_: str) -> bool:
            answered.wait(30)
            raise redis.TimeoutError

    async def run(door: Door) -> int:
        path, body = f"{IMPORTS}?dry_run=online", ASKED[IMPORTS].encode()
        asking = [asyncio.create_task(door.ask("POST", path, headers=[FORM], body=body)) for _ in range(50)]
        await asyncio.sleep(0.5)  # until each of them waits
        try:
            async with asyncio.timeout(5):
                size, picture = await FileReader(tmp_path).stream(key)
                await picture.close()
        finally:
            answered.set()
        assert {answer.status for answer in await asyncio.gather(*asking)} == {503}
        return size

    with Door(questions=Silent(), dry_run_seconds=20.0) as door:
        assert asyncio.run(run(door)) == len(b"picture")
