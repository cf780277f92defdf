"""Show an operator at a glance what happens: depth, age, states, workers, and the latest imports with pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

import structlog
from falcon.asgi import Request, Response
from pymongo.errors import PyMongoError

from common.blobs.reading import BlobReader
from common.display import in_brief
from common.documents.database import Document
from common.documents.groups import GROUP_STATUSES
from common.documents.statuses import STATUSES
from ingest import pages
from ingest.errors import NotFoundError
from ingest.observed import COUNT_LIMIT, PART_SECONDS, Look, Observed
from ingest.pages import Markup, foreign, tag
from ingest.resources.images import ImagesStore, send_file, thumbnail_of
from ingest.resources.imports import checked_id

REFRESH_SECONDS = 5
LATEST = 30
SIZES = ("large", "medium", "small")  # what every image has
_TONES = {"succeeded": "good", "failed": "bad", "canceled": "soft"}

log = structlog.get_logger(__name__)


class Latest(Protocol):
    """Reads the latest imports of all organizations."""

    async def latest(self, *, limit: int, now: datetime) -> list[Document]: ...


class DashboardResource:
    """GET /dashboard."""

    access = "operator"

    def __init__(self, *, observed: Observed, overview: Latest, clock: Callable[[], datetime]) -> None:
        self._observed, self._overview, self._clock = observed, overview, clock

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with the page; a part whose store is away is named as such."""
        look, latest = await asyncio.gather(self._observed.look(), self._latest())
        now = self._clock()
        resp.data = pages.page(
            "Import API",
            tag(
                "header",
                tag("h1", "Import API"),
                tag("p", f"{now:%Y-%m-%d %H:%M:%S} UTC, refreshes every {REFRESH_SECONDS} s"),
                tag("p", _store("MongoDB", look.mongodb_up), " ", _store("Redis", look.redis_up)),
            ),
            tag("main", _queues(look), _states(look), _groups(look), _workers(look), _imports(latest, now)),
            refresh=REFRESH_SECONDS,
        )
        resp.context.own += pages.HEADERS

    on_head = on_get

    async def _latest(self) -> list[Document] | None:
        try:
            asked = self._overview.latest(limit=LATEST, now=self._clock())
            return await asyncio.wait_for(asked, PART_SECONDS)
        except (PyMongoError, TimeoutError) as error:
            log.debug("a store did not answer", error=type(error).__name__)
            return None


class DashboardThumbnailResource:
    """GET /dashboard/images/{id}/{name}: the operator's look at a thumbnail of whichever organization."""

    access = "operator"

    def __init__(self, *, images: ImagesStore, blobs: BlobReader) -> None:
        self._images, self._blobs = images, blobs

    async def on_get(self, req: Request, resp: Response, image_id: str, name: str) -> None:
        """Hand out the thumbnail."""
        async with req.context.budget.spend():
            image = await self._images.find_file(checked_id(image_id))
        if image is None:
            raise NotFoundError
        await send_file(req, resp, self._blobs, thumbnail_of(image, name), inline=True)

    on_head = on_get


def _store(name: str, up: bool) -> Markup:
    return tag("span", f"{name} {'up' if up else 'away'}", class_=f"tag {'good' if up else 'bad'}")


def _away(what: str) -> Markup:
    return tag("p", f"{what} cannot be shown: the store does not answer.", class_="bad")


def _queues(look: Look) -> Markup:
    title = tag("h2", "Queues")
    if look.depths is None:
        return Markup(title + _away("Queues"))
    rows: list[tuple[Any, ...]] = [
        (one.queue, one.waiting, one.in_flight, one.delayed, one.dead, _age(look, one.queue))
        for one in look.depths
    ]
    states = ("waiting", "in_flight", "delayed")
    anew = ["unknown"] * 3 if look.rerenders is None else [_counted(look.rerenders[one]) for one in states]
    rows.append(("rerender", *anew, 0, ""))  # images to be rendered anew: nobody waits, so none is too old
    heads = ("Queue", "Waiting", "In flight", "Delayed", "Dead", "Oldest")
    return Markup(title + pages.table(heads, rows, numbers=range(1, 6)))


def _age(look: Look, queue: str) -> str:
    if queue not in look.oldest:
        return "unknown"
    seconds = look.oldest[queue]
    return "none" if seconds is None else _span(seconds)


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _states(look: Look) -> Markup:
    title = tag("h2", "Imports")
    if look.states is None:
        return Markup(title + _away("States"))
    return Markup(title + _cards(look.states, STATUSES))


def _groups(look: Look) -> Markup:
    title = tag("h2", "Import groups")
    if look.groups is None:
        return Markup(title + _away("Import groups"))
    return Markup(title + _cards(look.groups, GROUP_STATUSES))


def _cards(counts: Mapping[str, int], statuses: Iterable[str]) -> Markup:
    cards = [
        tag("div", tag("b", _counted(counts.get(status, 0))), tag("span", status), class_="card")
        for status in statuses
    ]
    return tag("div", *cards, class_="cards")


def _counted(number: int) -> str:
    return f"{number:,}" if number < COUNT_LIMIT else f"{COUNT_LIMIT:,} or more"


def _workers(look: Look) -> Markup:
    title = tag("h2", "Processes")
    if look.workers is None:
        return Markup(title + _away("Processes"))
    if not look.workers:
        return Markup(title + tag("p", "None was heard of lately.", class_="bad"))
    rows = [
        (foreign(one.process), foreign(one.host), one.pid, f"{one.age_s:.0f} s ago") for one in look.workers
    ]
    return Markup(title + pages.table(("Process", "Host", "PID", "Last heard"), rows, numbers=(2, 3)))


def _imports(latest: Iterable[Document] | None, now: datetime) -> Markup:
    title = tag("h2", "Latest imports")
    if latest is None:
        return Markup(title + _away("Imports"))
    rows = [_import(one, now) for one in latest]
    if not rows:
        return Markup(title + tag("p", "None yet. ", tag("a", "How to ask for one", href="/docs"), "."))
    heads = ("Picture", "Import", "State", "What is the matter", "Accepted")
    return Markup(title + pages.table(heads, rows))


def _import(one: Document, now: datetime) -> tuple[Any, ...]:
    picture: Any = ""
    if one["image_id"] is not None:
        source = f"/dashboard/images/{one['image_id']}"
        image = tag(
            "img",
            src=f"{source}/small",
            class_="thumb",
            alt=in_brief(one.get("filename") or ""),
            loading="lazy",
        )
        sizes = [tag("a", name, " ", href=f"{source}/{name}") for name in SIZES]
        picture = Markup(tag("a", image, href=f"{source}/large") + tag("small", *sizes))
    named = Markup(
        tag("code", one["_id"])
        + tag(
            "small", foreign(one.get("filename") or "no filename"), " · organization ", one["organization_id"]
        )
    )
    status = tag("span", one["status"], class_=f"tag {_TONES.get(one['status'], 'busy')}")
    return (
        picture,
        named,
        status,
        _matter(one),
        f"{_span(max(0.0, (now - one['created_at']).total_seconds()))} ago",
    )


def _matter(one: Document) -> Markup:
    """Say in words why an import failed, or what an open one waits for."""
    error = one.get("error")
    if error:
        return Markup(tag("span", error["detail"]) + tag("small", tag("code", error["code"])))
    if one.get("waiting_for"):
        return tag("span", f"Waits for {one['waiting_for']}.", class_="soft")
    attempts = one.get("attempts", 0)
    return tag("span", f"{attempts} attempts were no good." if attempts else "", class_="soft")
