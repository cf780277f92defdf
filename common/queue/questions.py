"""Put questions to the workers that a caller waits for, and answer them; nothing is kept.

A dry run asks the source what an import would find. The question and its answer are texts in Redis that live
for seconds; the message holds the question's id alone. Whatever is lost on the way is an answer that never
comes: the caller gives up and asks again. Keys, for a question Q and an organization O:

    imports:question:Q   the question, until a worker takes it
    imports:answer:Q     its answer, until the caller takes it
    imports:asking:O     sorted set: questions of O that are out → when they no longer count (ms)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import redis

from common.queue.jobs import AnswerDryRun, message

LIFE_SECONDS = 12.0  # beyond the longest that anybody waits
AT_ONCE = 2  # questions of one organization, so that asking takes no more of the workers than importing may

# KEYS: asking, question. ARGV: now, until, most, id, text, life in ms. Returns 1 where there was room.
_ASK = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6])
return 1
"""


class Questions:
    """Both sides of a question. Everything raises RedisError where Redis is away.

    `now` is the store's time in seconds, since doors on several machines share an organization's places.
    """

    def __init__(
        self,
        client: redis.Redis,
        broker: dramatiq.Broker,
        *,
        at_once: int = AT_ONCE,
        now: Callable[[], float],
    ) -> None:
        self._client, self._broker, self._at_once, self._now = client, broker, at_once, now
        self._ask = client.register_script(_ASK)

    def ask(self, question_id: str, organization_id: str, text: str) -> bool:
        """Put a question. False where the organization has too many of them out."""
        now, life = int(self._now() * 1000), int(LIFE_SECONDS * 1000)
        keys = [f"imports:asking:{organization_id}", f"imports:question:{question_id}"]
        if not self._ask(keys=keys, args=[now, now + life, self._at_once, question_id, text, life]):
            return False
        self._broker.enqueue(message(AnswerDryRun(question_id)))
        return True

    def answer(self, question_id: str) -> str | None:
        """Return the answer, once; None while there is none."""
        return _text(self._client.getdel(f"imports:answer:{question_id}"))

    def done(self, question_id: str, organization_id: str) -> None:
        """Let the organization ask the next question."""
        self._client.zrem(f"imports:asking:{organization_id}", question_id)
        self._client.delete(f"imports:question:{question_id}")

    def take(self, question_id: str) -> str | None:
        """Return a question to a worker, once; None for one that is no longer asked."""
        return _text(self._client.getdel(f"imports:question:{question_id}"))

    def give(self, question_id: str, text: str) -> None:
        """Answer a question."""
        self._client.set(f"imports:answer:{question_id}", text, px=int(LIFE_SECONDS * 1000))


def _text(value: Any) -> str | None:
    return None if value is None else value.decode()
