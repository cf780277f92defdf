"""What one organization has in flight is bounded, and costs another one nothing."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from ingest.admission import LARGE_BODY
from tests.doors import FORM, OTHER_USER_ID, Answer, Door, Kept

PATH = "/api/v1/imports"
LARGE = b"a=" + b"x" * LARGE_BODY


class Watched(Kept):
    """Imports that note how many insertions were under way at once, and wait while `free` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.free = asyncio.Event()

    async def insert(self, document: dict[str, Any]) -> dict[str, Any]:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.free.wait()
        self.now -= 1
        return await super().insert(document)


def door(**options: Any) -> Door:
    """Return a door that takes large bodies."""
    ids = [str(uuid.uuid4()) for _ in range(100)]
    return Door(imports=Watched(), ids=ids, body_bytes=2**20, **options)


async def post(opened: Door, body: bytes | None, *, token: str = "", **headers: str) -> Answer:
    """POST an import; a body of None is announced as a large one and never arrives."""
    sent = [FORM, *headers.items()]
    if body is None:
        sent.append(("Content-Length", str(len(LARGE))))
    return await opened.ask("POST", PATH, headers=sent, body=body, token=token)


async def soon() -> None:
    """Let what was begun go on until it waits."""
    for _ in range(50):
        await asyncio.sleep(0.001)


def test_an_organization_has_so_many_requests_in_flight_and_another_its_own() -> None:
    """One more is 429 with Retry-After, for that organization only, and only until one has ended."""

    async def run(opened: Door) -> None:
        other = opened.token(OTHER_USER_ID)
        begun = [asyncio.create_task(post(opened, b"a=1")) for _ in range(3)]
        await soon()
        refused = await post(opened, b"a=1")
        assert refused.status == 429
        assert refused.json()["code"] == "too_many_requests"
        assert refused["retry-after"] == "1"
        assert refused["x-token"] is None
        others = asyncio.create_task(post(opened, b"a=1", token=other))
        await soon()
        opened.imports.free.set()  # type: ignore[attr-defined]
        assert [answer.status for answer in await asyncio.gather(*begun, others)] == [200] * 4
        assert (await post(opened, b"a=1")).status == 200

    with door(organization_requests=3) as opened:
        asyncio.run(run(opened))


def test_whatever_became_of_a_request_it_is_counted_no_longer() -> None:
    """Refusals of every kind, and a failing store, leave room for the next one."""
    with door(organization_requests=1) as opened:
        for _ in range(2):
            assert opened.call("GET", f"{PATH}/{uuid.uuid4()}").status == 404
            assert opened.call("POST", PATH, headers=[FORM], body=b"%").status == 400
            assert opened.call("POST", PATH, headers=[("Content-Type", "a/b")], body=b"x").status == 415
            assert opened.call("DELETE", PATH).status == 405
            opened.imports.error = RuntimeError("broken")
            assert opened.call("GET", f"{PATH}/{uuid.uuid4()}").status == 500
            opened.imports.error = None


def test_large_bodies_of_an_organization_have_their_turn_one_after_the_other() -> None:
    """All are answered, never two at once; small requests pass them by."""

    async def run(opened: Door) -> None:
        imports: Any = opened.imports
        begun = [asyncio.create_task(post(opened, LARGE)) for _ in range(5)]
        await soon()
        assert imports.now == 1
        small = asyncio.create_task(post(opened, b"a=1"))
        await soon()
        assert imports.now == 2
        imports.free.set()
        assert [answer.status for answer in await asyncio.gather(*begun, small)] == [200] * 6
        assert imports.most == 2

    with door() as opened:
        asyncio.run(run(opened))


def test_a_large_body_that_drips_keeps_its_own_organization_waiting_only() -> None:
    """Whose turn does not come in time is answered 429; another organization's is answered at once."""

    async def run(opened: Door) -> None:
        opened.imports.free.set()  # type: ignore[attr-defined]
        drips = asyncio.create_task(post(opened, None))
        await soon()
        behind = asyncio.create_task(post(opened, LARGE))
        assert (await post(opened, LARGE, token=opened.token(OTHER_USER_ID))).status == 200
        assert not behind.done()
        assert (await drips).status == 408
        assert (await behind).status in (200, 429)
        assert (await post(opened, LARGE)).status == 200

    with door(body_seconds=0.3) as opened:
        asyncio.run(run(opened))


def test_whose_turn_does_not_come_is_told_to_come_back() -> None:
    """429 with Retry-After once the time for a body is up."""

    async def run(opened: Door) -> None:
        first = asyncio.create_task(post(opened, LARGE))
        await soon()
        refused = await post(opened, LARGE)
        assert (refused.status, refused["retry-after"]) == (429, "1")
        opened.imports.free.set()  # type: ignore[attr-defined]
        assert (await first).status == 200

    with door(body_seconds=0.2) as opened:
        asyncio.run(run(opened))
