"""How often an import is tried and how long it lives, at most, under each kind of failure.

The pipeline and the sweeper run on real stores under a clock that the test moves, two seconds a tick, with
the settings' defaults. `Longest` makes every jitter as long as it can be, so what it measures is the bound;
seeds show that chance stays below. docs/reference/retries.md holds these numbers.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.documents.database import Document, connect, database, prepare
from common.documents.groups import Groups
from common.documents.images import Images
from common.documents.imports import Imports
from common.documents.new_imports import accepted
from common.documents.organizations import Organizations
from common.documents.statuses import ENDED
from common.queue.broker import door_client
from common.queue.dispatch import Dispatcher, Requests
from common.settings import TABLE
from tests.unit.workers.test_pipeline import ORIGINAL, rendered
from workers.failures import Interrupted, Permanent, Throttled, Transient
from workers.gates import Gates
from workers.leases import Leases
from workers.pipeline import Pipeline
from workers.sweep import Sweeper

DEFAULTS = {one.name: one.parse(one.default) for one in TABLE if one.default is not None}
TICK = DEFAULTS["SWEEP_SECONDS"]
SEEDS = [None, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]
Fate = Callable[[], Any]


class Killed(BaseException):
    """The worker is gone: nothing that would be written after this is written."""


class Longest(random.Random):
    """Chance at its worst: every jitter is as long as it may be."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)

    def random(self) -> float:
        return 1.0


class Life:
    """One import on its way. `fetch` and `render` say what meets it there; `tries` counts the claims."""

    def __init__(
        self,
        mongodb_url: str,
        redis_url: str,
        seed: int | None,
        *,
        document: Document | None = None,
        organization: Document | None = None,
    ) -> None:
        self.mongodb, self.redis = connect(mongodb_url), door_client(redis_url)
        db = database(self.mongodb)
        prepare(db)
        self.now = (
            datetime.now(UTC).replace(microsecond=0)
            if document is None
            else document["created_at"] + timedelta(seconds=20)
        )
        self.chance = Longest() if seed is None else random.Random(seed)
        self.fetch: Fate = lambda: ORIGINAL
        self.render: Fate = rendered
        self.tries: Counter[str] = Counter()
        self.imports, organizations = Imports(db), Organizations(db)
        if organization is None:
            organizations.add("org", name="Org", source={}, now=self.now)
        else:
            db.organizations.insert_one(organization)
        dispatcher = Dispatcher(self.redis, Requests(per_organization=6, now=lambda: self.now.timestamp()))
        gates = Gates(organizations, clock=lambda: self.now)
        lease = DEFAULTS["LEASE_SECONDS"]
        self.pipeline = Pipeline(
            imports=self.imports,
            groups=Groups(db),
            images=Images(db),
            organizations=organizations,
            dispatcher=dispatcher,
            leases=Leases(clock=lambda: self.now, lease=lease, every=lease / 3),
            gates=gates,
            fetch=lambda *_: self._meets("fetch"),
            render=lambda *_: self._meets("render"),
            expand=lambda *_: 0,
            clock=lambda: self.now,
            owner="w",
            lease_seconds=lease,
            max_attempts=DEFAULTS["MAX_ATTEMPTS"],
            chance=self.chance,
        )
        self.sweeper = Sweeper(
            ledgers=(self.imports,),
            organizations=organizations,
            dispatcher=dispatcher,
            gates=gates,
            redis_client=self.redis,
            recover=lambda: None,  # dead processes' messages are not handed on: the sweeper alone must do
            count=lambda *_: None,
            clock=lambda: self.now,
            max_deliveries=DEFAULTS["MAX_DELIVERIES"],
            deadline=timedelta(seconds=DEFAULTS["IMPORT_DEADLINE_SECONDS"]),
            lease=timedelta(seconds=lease),
            chance=self.chance,
            monotonic=lambda: self.now.timestamp(),
        )
        document = document or accepted(
            str(uuid.uuid4()),
            organization_id="org",
            user_id="user",
            params="{}",
            import_type=None,
            album_id=None,
            filename=None,
            metadatas=None,
            source_type="salesforce",
            record_id="00P4I00000zyw3eUAA",
            request_id=None,
            now=self.now,
            due_in=5,
        )
        db.imports.insert_one(document)
        self.db = db
        self.began, self.id = self.now, document["_id"]

    def _meets(self, stage: str) -> Any:
        self.tries[stage] += 1
        return self.fetch() if stage == "fetch" else self.render()

    def tick(self, seconds: float = TICK) -> Document:
        """Sweep, answer every bell, let time go on; return the import as it is then."""
        self.sweeper.tick()
        for queue in ("fetch", "render"):
            waiting: Any = self.redis.llen(f"dramatiq:{queue}")
            for _ in range(waiting):  # what is rung meanwhile is answered at the next tick
                name: Any = self.redis.lpop(f"dramatiq:{queue}")
                raw: Any = self.redis.hget(f"dramatiq:{queue}.msgs", name)
                self.redis.hdel(f"dramatiq:{queue}.msgs", name)
                with contextlib.suppress(Killed):
                    self.pipeline.run(queue, json.loads(raw)["kwargs"]["import_id"])
        self.now += timedelta(seconds=seconds)
        found = self.imports.find(self.id)
        assert found is not None
        return found

    def ends(self, *, ticks: int = 400, seconds: float = TICK) -> tuple[Document, float]:
        """Go on until the import has ended; return it with its age at the end."""
        for _ in range(ticks):
            document = self.tick(seconds)
            if document["status"] in ENDED:
                return document, (document["updated_at"] - self.began).total_seconds()
        raise AssertionError(f"it did not end within {ticks} ticks: {document}")

    def close(self) -> None:
        self.mongodb.close()
        self.redis.close()


@pytest.fixture
def start(mongodb_url: str, redis_url: str) -> Iterator[Callable[[int | None], Life]]:
    lives: list[Life] = []

    def begin(seed: int | None = None) -> Life:
        lives.append(Life(mongodb_url, redis_url, seed))
        return lives[-1]

    yield begin
    for life in lives:
        life.close()


Start = Callable[..., Life]


def failing(error: BaseException) -> Fate:
    def meet() -> Any:
        raise error

    return meet


def test_what_is_about_the_record_is_tried_once(start: Start) -> None:
    """Permanent: one try, and the import has failed."""
    life = start()
    life.fetch = failing(Permanent("not_an_image", "A page."))
    document, age = life.ends()
    assert (document["error"]["code"], life.tries["fetch"]) == ("not_an_image", 1)
    assert age <= TICK


def test_what_is_not_found_is_looked_for_once_more(start: Start) -> None:
    """Permanent that may appear: two tries, at most 5 s and a sweep apart, while the import is young."""
    life = start()
    life.fetch = failing(Permanent("attachment_not_found", "Not there.", may_appear=True))
    document, age = life.ends()
    assert (document["error"]["code"], life.tries["fetch"]) == ("attachment_not_found", 2)
    assert age <= 5 + 2 * TICK


@pytest.mark.parametrize("seed", SEEDS)
def test_bad_answers_use_up_eight_attempts(start: Start, seed: int | None) -> None:
    """Transient: 8 tries, full jitter under 2, 4, 8, 16, 32, 64, 120 s; the last at most 246 s after the first."""
    life = start(seed)
    life.fetch = failing(Transient("answer_truncated", "Cut."))
    document, age = life.ends()
    assert (document["error"]["code"], life.tries["fetch"]) == ("answer_truncated", 8)
    assert document["error"]["retryable"] is True
    assert age <= 246 + 8 * TICK
    if seed is None:
        assert age >= 246


def test_each_stage_has_attempts_of_its_own(start: Start) -> None:
    """A fetch that succeeds at its last attempt leaves the render all of its eight: 16 tries, 492 s."""
    life, left = start(), [7]

    def fetch() -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise Transient("answer_truncated", "Cut.")
        return ORIGINAL

    life.fetch, life.render = fetch, failing(Transient("internal_error", "Odd."))
    document, age = life.ends()
    assert (document["status"], dict(life.tries)) == ("failed", {"fetch": 8, "render": 8})
    assert 492 <= age <= 492 + 16 * TICK


def test_what_the_other_side_asks_for_is_waited_out(start: Start) -> None:
    """Transient with Retry-After: never sooner than asked, at most a fifth later, no wait over 18 min: 2 h 6 min."""
    life = start()
    life.fetch = failing(Transient("answer_truncated", "Later.", retry_after=86_400))
    document, age = life.ends(seconds=30.0, ticks=400)
    assert (document["status"], life.tries["fetch"]) == ("failed", 8)
    assert 7 * 1080 <= age <= 7 * 1080 + 8 * 30


def test_a_poisoned_import_ends_at_the_fifth_killed_worker(start: Start) -> None:
    """A claim that nobody ends is taken back when its lease is over: 5 workers, at most 17 s each, never more."""
    life = start()
    life.render = failing(Killed())
    document, age = life.ends()
    assert (document["error"]["code"], dict(life.tries)) == ("worker_killed", {"fetch": 1, "render": 5})
    assert age <= 5 * (DEFAULTS["LEASE_SECONDS"] + TICK) + 2 * TICK


def test_stops_use_up_nothing(start: Start) -> None:
    """A worker that stops gives the delivery back: thirty deploys in the middle of one import cost it nothing."""
    life = start()
    life.fetch = failing(Interrupted())
    for _ in range(30):
        document = life.tick()
    assert life.tries["fetch"] >= 30
    assert (document["deliveries"], document["attempts"]) == (0, 0)
    life.fetch = lambda: ORIGINAL
    assert life.ends()[0]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("failure", "most"),
    [
        pytest.param(
            Throttled("blobs_unavailable", "Full.", waiting_for="blobs", scope="store"), 120 / 4, id="store"
        ),
        pytest.param(
            Throttled("salesforce_unavailable", "Down.", waiting_for="salesforce"), 120 / 4, id="outage"
        ),
        pytest.param(
            Throttled("salesforce_quota", "Used up.", waiting_for="quota", probe_after=60, probe_cap=900),
            2 + 120 / 60,
            id="quota",
        ),
    ],
)
def test_an_outage_uses_up_nothing(start: Start, failure: Throttled, most: float) -> None:
    """Throttled: two minutes of it count no attempt and no delivery, with bounded looks; it ends well after."""
    life = start(1)
    life.fetch = failing(failure)
    for _ in range(60):
        document = life.tick()
    assert document["status"] == "queued"
    assert (document["deliveries"], document["attempts"], document["stages"]["fetch"].get("attempts", 0)) == (
        0,
        0,
        0,
    )
    assert 1 <= life.tries["fetch"] <= most
    life.fetch = lambda: ORIGINAL
    assert life.ends(ticks=60)[0]["status"] == "succeeded"


@pytest.mark.parametrize("scope", ["store", "organization"])
def test_an_outage_without_an_end_expires_the_import(start: Start, scope: Any) -> None:
    """Nothing lives longer than the deadline (7 days) and one look of the sweeper, whatever it waits for."""
    life = start()
    life.fetch = failing(Throttled("c", "Away.", waiting_for="x", scope=scope, probe_cap=900.0))
    days = DEFAULTS["IMPORT_DEADLINE_SECONDS"]
    for _ in range(5):
        life.tick()
    life.now = life.began + timedelta(seconds=days - 20)
    document, age = life.ends(ticks=200, seconds=60.0)
    assert (document["error"]["code"], document["error"]["retryable"]) == ("expired", True)
    assert days < age <= days + 3600


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_all_kinds_together_stay_within_all_budgets(start: Start, seed: int) -> None:
    """Mixed by chance: at most 7 counted attempts before each stage's end, 5 kills in all; no budget eats another."""
    life, chance = start(seed), random.Random(seed)
    met: Counter[str] = Counter()
    kinds: dict[str, BaseException] = {
        "killed": Killed(),
        "counted": Transient("answer_truncated", "Cut."),
        "stopped": Interrupted(),
        "away": Throttled("blobs_unavailable", "Full.", waiting_for="blobs", scope="store"),
        "gated": Throttled("salesforce_busy", "Busy.", waiting_for="salesforce"),
    }

    def mixed() -> Any:
        kind = chance.choice(list(kinds))
        met[kind] += 1
        raise kinds[kind]

    life.fetch = mixed
    document, age = life.ends(ticks=700)
    assert document["status"] == "failed"
    ended_by = {"worker_killed": met["killed"] == 5, "answer_truncated": met["counted"] == 8}
    assert ended_by[document["error"]["code"]]
    assert met["killed"] <= 5
    assert met["counted"] <= 8
    assert age <= 246 + 5 * 17 + (met["away"] + met["gated"] + met["stopped"] + 13) * (6 + 2 * TICK)


def test_a_worker_that_stalls_forever_is_bounded_by_its_stage(start: Start) -> None:
    """A claim that is renewed is never taken: the stages' own limits (BLOB_SECONDS, RENDER_SECONDS) end it."""
    life = start()
    claimed = threading.Event()

    def stall() -> Any:
        claimed.set()
        held = life.imports.find(life.id)
        assert held is not None
        for _ in range(30):
            life.now += timedelta(seconds=5)
            life.pipeline._leases.renew()
            assert life.sweeper.tick() is False
        raise Transient("salesforce_too_slow", "Slow.")

    life.fetch = stall
    document = life.tick()
    assert claimed.is_set()
    assert (document["status"], document["deliveries"], document["attempts"]) == ("queued", 0, 1)
