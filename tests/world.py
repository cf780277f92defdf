"""Run the whole product for a test: the sandbox, every process of the Procfile, real stores, real sockets.

`World` posts, waits, kills and looks; `World.audit` says in nine numbers whether a promise was broken. Every
number is zero at rest, whatever was killed, paused or cut off before.
"""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pymongo
import redis
import requests
from PIL import Image

from common.documents.images import image_id_of
from common.documents.statuses import ENDED
from tests.journey.sandboxes import Sandbox, children_of, is_alive, register

STORES = ("mongodb", "redis", "salesforce")
SIZES = {"large": 1280, "medium": 480, "small": 160}
REST_SECONDS = 90.0  # threefold what the product promises after the last fault


@dataclass(slots=True)
class Audit:
    """What went wrong, by kind; each list names the imports (or files) concerned."""

    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    duplicate_imports: list[str] = field(default_factory=list)
    duplicate_images: list[str] = field(default_factory=list)
    missing_images: list[str] = field(default_factory=list)
    unreadable_thumbnails: list[str] = field(default_factory=list)
    wrong_terminal_states: list[str] = field(default_factory=list)
    reverted_states: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    def faults(self) -> dict[str, list[str]]:
        """Return the kinds that are not zero."""
        return {kind: found for kind, found in asdict(self).items() if found}


class World:
    """One running product. Close it, or use it in a `with` block."""

    def __init__(self, folder: Path, *options: str, environ: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.sandbox = Sandbox(
            "--port", "0", "--data", str(folder), "--no-sample", *options, environ=dict(environ or {})
        )
        try:
            self.ready = self.sandbox.ready(seconds=90)
        except BaseException:
            self.sandbox.process.kill()
            raise
        self.url: str = self.ready["base_url"]
        self.http = requests.Session()
        self.http.headers["Authorization"] = f'Token token="{self.ready["token"]}"'
        self.mongodb: Any = pymongo.MongoClient(self.ready["mongodb_url"], tz_aware=True)
        self.db = self.mongodb.get_default_database()
        self.redis = redis.Redis.from_url(self.ready["redis_url"])
        self.accepted: dict[str, str] = {}  # import id → the name of the picture that was asked for

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the product; its processes are gone afterwards."""
        self.http.close()
        self.mongodb.close()
        self.redis.close()
        self.sandbox.end()

    # -- as a client ----------------------------------------------------------------------------------

    def samples(self) -> dict[str, str]:
        """Return the attachments that the simulated Salesforce has: name → id."""
        return {row["name"]: row["id"] for row in self.control("GET", "attachments")}

    def attach(self, name: str, content: bytes, **more: Any) -> str:
        """Add an attachment and return its id."""
        order = {"name": name, "content_base64": base64.b64encode(content).decode(), "seed": name, **more}
        return str(self.control("POST", "attachments", order)["id"])

    def post(self, attachment_id: str, name: str = "", **fields: str) -> requests.Response:
        """Submit an import; a 200 is remembered as accepted."""
        form = {"attachment_id": attachment_id, "import_type": "salesforce", "filename": name, **fields}
        answer = self.http.post(f"{self.url}/api/v1/imports", data=form, timeout=15)
        if answer.status_code == 200:
            self.accepted[answer.json()["id"]] = name
        return answer

    def submit(self, attachment_id: str, name: str = "", *, seconds: float = 60.0) -> str:
        """Submit until it is accepted, as a client with patience does; return the import's id."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self.post(attachment_id, name)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status_code == 200:
                return str(answer.json()["id"])
            assert answer is None or answer.status_code == 503, (answer.status_code, answer.text)
            assert time.monotonic() < deadline, "nothing was accepted in time"
            time.sleep(0.2)

    def get(self, import_id: str) -> dict[str, Any]:
        """Read one import as a client does."""
        answer = self.http.get(f"{self.url}/api/v1/imports/{import_id}", timeout=15)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def image(self, image_id: str) -> dict[str, Any]:
        """Read one image as a client does."""
        answer = self.http.get(f"{self.url}/api/v1/images/{image_id}", timeout=15)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def blob(self, url: str) -> requests.Response:
        """Fetch a file that an image names."""
        return self.http.get(self.url + url, timeout=15)

    def operator(self, path: str) -> requests.Response:
        """Fetch a page of the operator's."""
        return requests.get(self.url + path, auth=("operator", self.ready["operator_password"]), timeout=15)

    # -- what is in the stores --------------------------------------------------------------------------

    def document(self, import_id: str) -> dict[str, Any]:
        """Read one import as it is kept."""
        found = self.db.imports.find_one({"_id": import_id})
        assert found is not None
        return dict(found)

    def rest(self, import_ids: Iterable[str] | None = None, *, seconds: float = REST_SECONDS) -> None:
        """Wait until imports have ended."""
        ids = list(self.accepted if import_ids is None else import_ids)
        deadline, open_ = time.monotonic() + seconds, ids
        while True:
            try:
                kept = self.db.imports.find({"_id": {"$in": open_}}, {"status": 1})
                ended = {one["_id"] for one in kept if one["status"] in ENDED}
                open_ = [one for one in open_ if one not in ended]
            except pymongo.errors.PyMongoError:
                pass
            if not open_:
                return
            if time.monotonic() > deadline:
                stuck = [self.document(one) for one in open_[:3]]
                raise AssertionError(
                    f"{len(open_)} of {len(ids)} have not ended: {stuck}\n{self.sandbox.text[-4000:]}"
                )
            time.sleep(0.2)

    def idle(self, *, seconds: float = REST_SECONDS) -> None:
        """Wait until the queues hold nothing that is waiting or in flight."""
        keys = [f"dramatiq:{queue}.msgs" for queue in ("fetch", "render")]
        self.until(lambda: not any(self.redis.hlen(key) for key in keys), seconds=seconds)

    def until(self, holds: Callable[[], Any], *, seconds: float = 30.0) -> Any:
        """Wait until something is true and return it; a store that is away meanwhile is not."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if found := holds():
                    return found
            except (redis.RedisError, pymongo.errors.PyMongoError, requests.RequestException):
                pass
            assert time.monotonic() < deadline, f"it did not come about in time\n{self.sandbox.text[-4000:]}"
            time.sleep(0.05)

    def audit(self, *, expected: Callable[[str], str] = lambda _name: "succeeded") -> Audit:
        """Count the nine things that must be zero at rest. `expected` gives the end that a picture must have."""
        audit, seen_digests = Audit(), set()
        kept = {one["_id"]: one for one in self.db.imports.find({}, {"params": 0})}
        images: dict[str, list[dict[str, Any]]] = {}
        for image in self.db.images.find({}):
            images.setdefault(image["import_id"], []).append(image)
        for import_id, name in self.accepted.items():
            document = kept.get(import_id)
            if document is None:
                audit.lost.append(import_id)
                continue
            if document["status"] not in ENDED or "due_at" in document:
                audit.stuck.append(import_id)
            elif document["status"] != expected(name):
                audit.wrong_terminal_states.append(
                    f"{import_id} {name}: {document['status']} {document['error']}"
                )
            if _reverts(document["history"]):
                audit.reverted_states.append(import_id)
            own = images.get(import_id, [])
            if len(own) > 1:
                audit.duplicate_images.append(import_id)
            if (document["status"] == "succeeded") != bool(own):
                audit.missing_images.append(import_id)
            for image in own:
                if image["_id"] != image_id_of(import_id) or document["image_id"] != image["_id"]:
                    audit.duplicate_images.append(import_id)
                if image["sha256"] not in seen_digests and not self._is_readable(image):
                    audit.unreadable_thumbnails.append(import_id)
                seen_digests.add(image["sha256"])
        # A document that nobody was told of was written while its answer was lost; without an idempotency
        # key that is no double, and it must come to an end like all others.
        audit.stuck += [one for one, document in kept.items() if document["status"] not in ENDED]
        keys = [document["idempotency_key"] for document in kept.values() if document.get("idempotency_key")]
        audit.duplicate_imports += sorted({key for key in keys if keys.count(key) > 1})
        audit.leftovers += self._leftovers()
        return audit

    def _is_readable(self, image: Mapping[str, Any]) -> bool:
        shown = self.image(image["_id"])
        original = self.blob(shown["original"]["url"])
        if original.status_code != 200 or hashlib.sha256(original.content).hexdigest() != image["sha256"]:
            return False
        for thumbnail in shown["thumbnails"]:
            answer = self.blob(thumbnail["url"])
            if answer.status_code != 200 or hashlib.sha256(answer.content).hexdigest() != thumbnail["sha256"]:
                return False
            with Image.open(BytesIO(answer.content)) as picture:
                picture.load()
                if picture.size != (thumbnail["width"], thumbnail["height"]):
                    return False
        return [one["name"] for one in shown["thumbnails"]] == list(SIZES)

    def _leftovers(self) -> list[str]:
        found = [str(path) for path in (self.folder / "spool").rglob("*")]
        found += [
            str(path)
            for path in (self.folder / "blobs").rglob("*")
            if ".staging" in path.parts and path.is_file()
        ]
        for queue in ("fetch", "render"):
            names = (
                f"dramatiq:{queue}.msgs",
                f"dramatiq:{queue}",
                f"imports:dispatched:{queue}",
                f"imports:backlogs:{queue}",
            )
            found += [name for name in names if self.redis.exists(name)]
        return found

    # -- as fate ---------------------------------------------------------------------------------------------

    def pid(self, process: str) -> int:
        """Return the process that runs now under a name of the Procfile or of a store."""
        return register(self.folder)[process]

    def workers(self, process: str) -> list[int]:
        """Return the worker processes of a dramatiq master."""
        return sorted(
            pid
            for pid in children_of([self.pid(process)])
            if "spawn_main" in _command(pid) or "dramatiq" in _command(pid)
        )

    def kill(self, process: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a process by its name and return its number."""
        pid = self.pid(process)
        os.kill(pid, number)
        return pid

    def back(self, process: str, gone: int, *, seconds: float = 30.0) -> int:
        """Wait until another process runs under a name and return its number."""

        def another() -> int | None:
            now = register(self.folder).get(process)
            return now if now is not None and now != gone and is_alive(now) else None

        return int(self.until(another, seconds=seconds))

    def control(self, method: str, noun: str, order: Any = None) -> Any:
        """Steer the simulated Salesforce (see `sandbox/salesforce/control.py`)."""
        answer = requests.request(
            method, f"{self.ready['salesforce_url']}/_control/{noun}", json=order, timeout=10
        )
        assert answer.ok, answer.text
        return answer.json()


def _reverts(history: list[dict[str, Any]]) -> bool:
    """Tell whether an import left an end by itself, or a claim's fence went back."""
    fences = [entry["fence"] for entry in history if entry["event"] in ("fetching", "rendering")]
    ended = [place for place, entry in enumerate(history) if entry["event"] in ENDED]
    again = any(history[place + 1]["event"] != "retried" for place in ended if place + 1 < len(history))
    return again or fences != sorted(set(fences))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
