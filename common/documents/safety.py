"""Tell whether MongoDB is set so that an import that was accepted cannot be lost."""

from __future__ import annotations

import uuid
from typing import Any

from pymongo import MongoClient, WriteConcern
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, PyMongoError

from common.documents.database import Document, connect, database
from common.telemetry.checks import Check


def look(url: str) -> list[Check] | None:
    """Look by a connection of our own, which is closed again. None while MongoDB is away."""
    client: MongoClient[Document]
    with connect(url) as client:
        try:
            hello = client.admin.command("hello")
            if not hello.get("isWritablePrimary", True):
                return None  # no primary is chosen yet
            return [replica_set(hello), journal(database(client))]
        except ConnectionFailure:
            return None
        except PyMongoError as error:
            advice = "Check the rights of the user in MONGODB_URL."
            return [Check("MongoDB", "bad", f"it refused to be looked at ({type(error).__name__}).", advice)]


def replica_set(hello: dict[str, Any]) -> Check:
    """Judge by an answer to `hello` on how many machines the documents are."""
    if hello.get("setName"):
        return Check("replica set", "ok", f"{hello['setName']}, {len(hello.get('hosts', []))} with data.")
    advice = "Run a replica set of three where losing that machine must not lose accepted imports."
    return Check("replica set", "warning", "a single server keeps the documents.", advice)


def journal(db: Database[Document]) -> Check:
    """Make a write that counts only once a majority has it in its journal; a server without one refuses.

    Raises ConnectionFailure where MongoDB is away.
    """
    probes = db.get_collection("doctor", write_concern=WriteConcern("majority", wtimeout=5_000, j=True))
    probe = {"_id": str(uuid.uuid4())}
    try:
        probes.insert_one(probe)
        probes.delete_one(probe)
    except ConnectionFailure:
        raise
    except PyMongoError as error:
        advice = "Let a majority of members run with journals, and give the user the right to write."
        return Check("journal", "bad", f"a journaled majority write failed ({type(error).__name__}).", advice)
    return Check("journal", "ok", "a majority writes to its journal before it answers.")
