"""What the whole product asks MongoDB for, recorded from its processes: stable commands, each served by an index.

A real server cannot be started here, so this is held against what its documentation promises: the Stable API, version 1
(https://www.mongodb.com/docs/manual/reference/stable-api/), and the rule that an index serves equality, sort and range,
in this order.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bson
import pytest

from common.documents.database import INDEXES
from tests.faults.ground import Ground
from tests.faults.midjob import small_picture
from tests.journey.albums import ask, fill, look
from tests.journey.test_salesforce import operate
from tests.world import World

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "mongodb.md"
_STABLE = """abortTransaction aggregate authenticate collMod commitTransaction count create createIndexes delete drop
dropDatabase dropIndexes endSessions explain find findAndModify getMore hello insert killCursors listCollections
listDatabases listIndexes ping refreshSessions update"""
STABLE = frozenset(_STABLE.split())
UNSTABLE_STAGES = frozenset(
    [
        "$currentOp",
        "$indexStats",
        "$listLocalSessions",
        "$listSessions",
        "$planCacheStats",
        "$search",
        "$searchMeta",
    ]
)
UNSTABLE_OPERATORS = frozenset({"$text", "$where", "$near", "$nearSphere"})
RANGES = frozenset({"$gt", "$gte", "$lt", "$lte", "$exists"})
RESIDUAL = frozenset({"$ne", "$nin"})  # judged on what the index has found
# Fields of which a value has a handful of documents: with one of them found, the others are looked at.
SELECTIVE = frozenset({"_id", "record_id", "idempotency_key"})
# Verbs that say by their exit code what they found, or that there was nothing to do.
MAY_FAIL = frozenset({"doctor", "verify", "repair", "retry", "cancel", "group"})
SERVED_IN_PART = frozenset(
    {
        "images ['organization_id', 'sha256'] by ['created_at', '_id']",  # of the same bytes: sorted where they are found
        "group_skips ['fence', 'group_id'] by []",  # the few pages of one group
        "rerenders ['due_at', 'not_before', 'status'] by []",  # among those of one state
        # `imports retry`: among those that failed, by when they did.
        "imports ['record_id', 'status', 'updated_at'] by ['created_at']",
        "imports ['created_at', 'record_id', 'status', 'updated_at'] by ['created_at']",
    }
)
OF_DRIVERS = frozenset({"ismaster", "isMaster"})  # a driver's greeting to a server it does not know yet
# Asked where there is more than one batch, after a Redis was emptied, or where a canceled import had its image.
AT_TIMES = frozenset({"getMore", "$nin", "delete"})
# Read as a whole: a handful of documents, one for each person, and what `imports verify` holds against each other.
SMALL = frozenset({"organizations", "users"})
WALKED = frozenset({"imports", "import_groups", "images"})


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return every command that a whole journey, the command line, groups, rerenders and repair send."""
    folder = tmp_path_factory.mktemp("ground")
    with Ground(folder, retry_writes=True) as ground, ground.mongodb.noting() as noted:
        journey(ground.world)
    return [command for request in noted if (command := decoded(request)) is not None]


def journey(world: World) -> None:
    """Do once whatever can be done."""
    names = [world.attach(f"{n}.png", small_picture(n)) for n in range(3)]
    ids = [world.submit(one, f"{n}.png") for n, one in enumerate(names)]
    url = f"{world.url}/api/v1"
    again = {"Idempotency-Key": '"k"'}
    for _ in range(2):
        world.http.post(f"{url}/imports", data={"attachment_id": names[0]}, headers=again, timeout=15)
    unknown = {"attachment_id": "00P4I00000zyw3eUAA"}
    lost = world.http.post(f"{url}/imports", data=unknown, timeout=15).json()["id"]
    world.rest([*ids, lost])
    image = world.http.get(f"{url}/imports/{ids[0]}", timeout=15).json()["image_id"]
    for path in (f"/images/{image}", f"/images/{image}/original", f"/images/{image}/thumbnails/small"):
        assert world.http.get(f"{url}{path}", timeout=15).ok
    for query in ("true", "online"):
        world.http.post(f"{url}/imports?dry_run={query}", data={"attachment_id": names[0]}, timeout=30)
    case_id, _ = fill(world, 4)
    group = ask(world, case_id)["id"]
    world.until(lambda: look(world, group)["counts"]["succeeded"] == 4, seconds=60)
    for more in ("/imports", "/skipped"):
        world.http.get(f"{url}/import_groups/{group}{more}", timeout=15)
    second, _ = fill(world, 2)
    canceled = ask(world, second)["id"]
    world.http.post(f"{url}/import_groups/{canceled}/cancel", timeout=15)
    for path in ("/metrics", "/dashboard", "/readyz"):
        assert world.operator(path).ok
    organization = world.ready["organization_id"]
    verbs = (
        "prepare | queues | list | list --status failed | list --code attachment_not_found | doctor | verify | repair "
        f"| organization list | organization show {organization} | organization check {organization} "
        f"| organization rotate-credentials | user add {organization} | user list | show {ids[0]} | retry {lost} "
        "| retry --status failed --since 1h "
        f"| cancel {lost} | group list | group show {group} | group cancel {canceled} "
        f"| organization update {organization} --thumbnails 'large 1024, medium 512, small 100' | rerender --dry-run | rerender {image}"
    )
    for words in verbs.split("|"):
        verb = shlex.split(words)
        with contextlib.suppress(AssertionError) if verb[0] in MAY_FAIL else contextlib.nullcontext():
            operate(world, *verb)
    world.idle(seconds=60)


def decoded(request: bytes) -> dict[str, Any] | None:
    """Return the command of a request, with its documents in place; None for what is no whole OP_MSG."""
    if len(request) < 26:
        return None
    length, _, _, code = struct.unpack_from("<iiii", request)
    if code != 2013 or length != len(request):
        return None
    command: dict[str, Any] = {}
    at = 20
    while at < length:
        kind, at = request[at], at + 1
        (size,) = struct.unpack_from("<i", request, at)
        if kind == 0:
            command.update(bson.decode(request[at : at + size]))
        else:
            name, _, documents = request[at + 4 : at + size].partition(b"\0")
            command[name.decode()] = bson.decode_all(documents)
        at += size
    return command


def name_of(command: Mapping[str, Any]) -> str:
    return next(iter(command))


def operators(part: Any) -> Iterator[str]:
    """Yield every key that begins with a dollar, however deep."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key.startswith("$"):
                yield key
            yield from operators(value)
    elif isinstance(part, list):
        for one in part:
            yield from operators(one)


def names_of(commands: list[dict[str, Any]]) -> set[str]:
    return {name_of(command) for command in commands} - OF_DRIVERS


def operators_of(commands: list[dict[str, Any]]) -> set[str]:
    """Return the operators in queries, updates, projections and pipelines."""
    parts = ("filter", "query", "update", "updates", "deletes", "pipeline", "projection")
    return {name for command in commands for part in parts for name in operators(command.get(part))}


def shapes(commands: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    """Yield collection, filter and sorted fields of whatever looks for documents."""
    for command in commands:
        name = name_of(command)
        collection = str(command[name])
        if name == "find":
            yield collection, command.get("filter", {}), list(command.get("sort", {}))
        elif name == "findAndModify":
            yield collection, command["query"], list(command.get("sort") or {})
        elif name in ("update", "delete"):
            for one in command[f"{name}s"]:
                yield collection, one["q"], []
        elif name == "count":
            yield collection, command.get("query", {}), []
        elif name == "aggregate" and command["pipeline"]:
            yield collection, command["pipeline"][0].get("$match", {}), []


def has(operators: frozenset[str], value: Any) -> bool:
    return isinstance(value, Mapping) and bool(operators & set(value))


def is_served(wanted: Mapping[str, Any], sort: list[str], indexes: list[list[str]]) -> bool:
    """Tell whether an index holds all fields that are equal, then those of the sort, then the range."""
    ranges = {field for field, value in wanted.items() if has(RANGES, value)}
    equal = {field for field, value in wanted.items() if not has(RANGES | RESIDUAL, value)}
    for fields in indexes:
        if fields[0] in equal & SELECTIVE:
            return True
        rest = fields[len(equal) :]
        if set(fields[: len(equal)]) != equal or rest[: len(sort)] != sort:
            continue
        if ranges <= {*sort, *rest[len(sort) : len(sort) + 1]}:
            return True
    return False


def test_the_journey_was_recorded(commands: list[dict[str, Any]]) -> None:
    """The recording holds what it is to be judged by: it would prove nothing otherwise."""
    asked = {"insert", "update", "find", "findAndModify", "aggregate", "createIndexes"}
    assert all(command["apiVersion"] == "1" for command in commands if name_of(command) in asked)
    assert asked <= names_of(commands)


def test_every_command_is_of_the_stable_api(commands: list[dict[str, Any]]) -> None:
    """A server that keeps the Stable API serves the product; what is not of it has its reason on the page."""
    beyond = set(re.findall(r"^\| `(\w+)` \| beyond", PAGE.read_text(encoding="utf-8"), re.M))
    assert names_of(commands) - STABLE == beyond
    assert not operators_of(commands) & (UNSTABLE_STAGES | UNSTABLE_OPERATORS)


def test_the_page_names_all_that_is_asked(commands: list[dict[str, Any]]) -> None:
    """What one has to look for in a hosted or a compatible server is on one page, and nothing else is."""
    text = PAGE.read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \|", text, re.M)) | set(re.findall(r"`(\$\w+)`", text))
    found = names_of(commands) | operators_of(commands)
    assert found <= listed
    assert listed - found <= AT_TIMES


def test_an_index_serves_every_query(commands: list[dict[str, Any]]) -> None:
    """Each query finds its documents by an index, in the order equality, sort, range; only collections that are small,
    and walks over all there is, are read as a whole."""
    of_collection: dict[str, list[list[str]]] = {}
    for collection, index in INDEXES:
        of_collection.setdefault(collection, [["_id"]]).append(list(index.document["key"]))
    unserved = {
        f"{collection} {sorted(wanted)} by {sort}"
        for collection, wanted, sort in shapes(commands)
        if (wanted or sort)
        and collection not in SMALL
        and not is_served(wanted, sort, of_collection.get(collection, [["_id"]]))
    }
    assert unserved <= SERVED_IN_PART
    whole = {collection for collection, wanted, sort in shapes(commands) if not wanted and not sort}
    assert whole <= SMALL | WALKED
