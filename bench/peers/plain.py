"""Do the product's job as most Python teams write it first: Flask answers, Celery works, MongoDB keeps.

    gunicorn --workers 1 --threads 16 bench.peers.plain:app         # the door
    celery -A bench.peers.plain:queue worker --concurrency 2              # the workers

The environment names MONGODB_URL, REDIS_URL, TOKEN_SECRET, SALESFORCE_URL, SALESFORCE_SECRET and FOLDER. No lease,
no idempotency, no bounds, no fairness, no verification of what was fetched: only the way that goes well.
"""

from __future__ import annotations

import io
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import requests
from celery import Celery
from flask import Flask, Response, request
from PIL import Image, ImageOps
from pymongo import MongoClient
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

SIZES = {"large": 1280, "medium": 480, "small": 160}

app = Flask(__name__)
queue = Celery("plain", broker=os.environ["REDIS_URL"])
queue.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)
_state: dict[str, Any] = {}


def database() -> Any:
    """Return this process's connection, made when it is first needed: gunicorn and Celery fork before."""
    if "db" not in _state:
        _state["db"] = MongoClient(os.environ["MONGODB_URL"]).get_default_database()
    return _state["db"]


@app.post("/api/v1/imports")
def create() -> Response:
    """Find out who asks, write the import down, enqueue it, answer."""
    token = request.headers["Authorization"].partition('token="')[2].rstrip('"')
    try:
        claims = jwt.decode(token, os.environ["TOKEN_SECRET"], algorithms=["HS256"])
    except jwt.PyJWTError:
        return Response(status=401)
    user = database().users.find_one({"_id": claims["user_id"]})
    if user is None:
        return Response(status=401)
    form, now = request.form.to_dict(), datetime.now(UTC)
    document = {
        "_id": str(uuid.uuid4()),
        "organization_id": user["organization_id"],
        "image_id": None,
        "import_type": form.get("import_type"),
        "album_id": form.get("album_id"),
        "params": form,
        "status": "queued",
        "created_at": now,
        "updated_at": now,
    }
    database().imports.insert_one(document)
    bring.delay(document["_id"], form["attachment_id"])
    answer = {**document, "id": document["_id"], "created_at": now.isoformat(), "updated_at": now.isoformat()}
    return app.json.response(answer)


@queue.task(name="bring", autoretry_for=(Exception,), retry_backoff=True, max_retries=8)  # type: ignore[untyped-decorator]
def bring(import_id: str, attachment_id: str) -> None:
    """Fetch the attachment, make the thumbnails, record the image."""
    salesforce = _salesforce()
    row = salesforce.Attachment.get(attachment_id)
    body = salesforce.Attachment.get_base64(attachment_id)
    folder = Path(os.environ["FOLDER"])
    (folder / import_id).write_bytes(body)
    thumbnails = []
    with Image.open(io.BytesIO(body)) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    for name, edge in SIZES.items():
        small = picture.copy()
        small.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        small.save(folder / f"{import_id}-{name}.jpg", quality=82)
        thumbnails.append({"name": name, "width": small.width, "height": small.height})
    image_id = str(uuid.uuid4())
    database().images.insert_one(
        {"_id": image_id, "import_id": import_id, "filename": row["Name"], "thumbnails": thumbnails}
    )
    database().imports.update_one(
        {"_id": import_id},
        {"$set": {"status": "succeeded", "image_id": image_id, "updated_at": datetime.now(UTC)}},
    )


def _salesforce() -> Salesforce:
    """Return this process's session: one log-in for all its tasks."""
    if "salesforce" not in _state:
        session = requests.Session()
        session.mount("https://", _ToSimulation(os.environ["SALESFORCE_URL"]))
        _state["salesforce"] = Salesforce(
            session=session,
            domain="bench.my",
            consumer_key="sandbox",
            consumer_secret=os.environ["SALESFORCE_SECRET"],
            version="65.0",
        )
    return _state["salesforce"]


class _ToSimulation(HTTPAdapter):
    """Sends what the library means for https://… to the simulation."""

    def __init__(self, url: str) -> None:
        super().__init__(pool_maxsize=16)
        self.url = url

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = self.url + request.path_url
        return super().send(request, *args, **kwargs)
