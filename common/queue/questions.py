"""Put questions to the workers that a caller waits for, and answer them; nothing is kept.

A dry run asks the source what an import would find. The question and its answer are texts in Redis that live
for seconds; the message holds the question's id alone. Whatever is lost on the way is an answer that never
comes: the caller gives up and asks again. Keys, for a question Q and an organization O:

    imports:question:Q   the question, until a worker takes it
    imports:answer:Q     its answer, until the caller takes it
    imports:asking:O     places of the questions of O that are out (see `places.py`)
"""

from __future__ import annotations

from typing import Any

import dramatiq
import redis

from common.queue.jobs import AnswerDryRun, message
from common.queue.places import Places

LIFE_SECONDS = 12.0  # beyond the longest that anybody waits
AT_ONCE = 2  # questions of one organization, so that asking takes no more of the workers than importing may


class Questions:
    """Both sides of a question. Everything raises RedisError where Redis is away."""

    def __init__(self, client: redis.Redis, broker: dramatiq.Broker) -> None:
        self._client, self._broker = client, broker
        self._places = Places(client, most=AT_ONCE, seconds=LIFE_SECONDS)

    def ask(self, question_id: str, organization_id: str, text: str) -> bool:
        """Put a question. False where the organization has too many of them out."""
        if not self._places.take(f"imports:asking:{organization_id}", question_id):
            return False
        self._client.set(f"imports:question:{question_id}", text, px=int(LIFE_SECONDS * 1000))
        self._broker.enqueue(message(AnswerDryRun(question_id)))
        return True

    def answer(self, question_id: str) -> str | None:
        """Return the answer, once; None while there is none."""
        return _text(self._client.getdel(f"imports:answer:{question_id}"))

    def done(self, question_id: str, organization_id: str) -> None:
        """Let the organization ask the next question."""
        self._places.leave(f"imports:asking:{organization_id}", question_id)
        self._client.delete(f"imports:question:{question_id}")

    def take(self, question_id: str) -> str | None:
        """Return a question to a worker, once; None for one that is no longer asked."""
        return _text(self._client.getdel(f"imports:question:{question_id}"))

    def give(self, question_id: str, text: str) -> None:
        """Answer a question."""
        self._client.set(f"imports:answer:{question_id}", text, px=int(LIFE_SECONDS * 1000))


def _text(value: Any) -> str | None:
    return None if value is None else value.decode()
