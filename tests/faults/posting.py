"""Post many imports from several clients while strokes of fate fall, spread over the posting."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.world import REST_SECONDS, World

CLIENTS = 3
PAUSE_SECONDS = 0.15  # of a client between two imports, so that the posting lasts as long as the strokes

Stroke = Callable[[World], None]


def post_under(world: World, amount: int, strokes: Sequence[Stroke]) -> None:
    """Post so many imports; each stroke falls when its share of them has been accepted."""
    samples = list(itertools.islice(itertools.cycle(world.samples().items()), amount))

    def post(sample: tuple[str, str]) -> None:
        name, attachment_id = sample
        world.submit(attachment_id, name)
        time.sleep(PAUSE_SECONDS)

    with ThreadPoolExecutor(CLIENTS) as clients:
        posting = [clients.submit(post, sample) for sample in samples]
        for number, stroke in enumerate(strokes):
            due = amount * number // len(strokes)
            world.until(lambda due=due: len(world.accepted) >= due, seconds=REST_SECONDS)
            stroke(world)
        for one in posting:
            one.result()


def all_succeeded(world: World, amount: int) -> None:
    """See every import end as one image, also those whose client never heard of them, and nothing left over."""
    world.rest()
    world.idle()
    assert world.audit().faults() == {}
    assert len(world.accepted) == amount
    # The door may have died between writing and answering.
    assert set(world.db.imports.distinct("status")) == {"succeeded"}
    assert world.db.images.count_documents({}) == world.db.imports.count_documents({})
