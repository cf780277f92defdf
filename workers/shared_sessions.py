"""Hand sessions from process to process through Redis, encrypted like the credentials that they stand for.

    imports:session:O:V          digest of the token, then token and instance, encrypted; lives 15 minutes
    imports:session:O:V:turn     who logs in now
    imports:session:O:V:refused  why logging in is not worth trying; lives as long as that holds
    imports:logins:O@S           logins in the second S; lives for the hour in which they count

O is an organization and V the version of its credentials, so that new credentials begin with nothing. A
process that cannot reach Redis does all of it for itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict

import redis
from dramatiq.rate_limits import WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend
from redis.client import Pipeline

from workers.credentials import Credentials, CredentialsError
from workers.redis_away import quietly
from workers.sources.surroundings import Kept, Refused

SESSION_SECONDS = 900
HOUR, LOGINS_AN_HOUR = 3600, 1800
"""Half of what the vendor blocks a user for: other integrations may share it."""

NOT_SHARED = "session not shared"


class RedisSession:
    """The shared session of one organization and version of its credentials. Raises nothing of Redis's."""

    def __init__(
        self, client: redis.Redis, credentials: Credentials, organization_id: str, *, version: object
    ) -> None:
        self._client, self._credentials = client, credentials
        # A session that was copied from another organization's key would fetch that one's attachments.
        self._owner = {"organization_id": organization_id, "session": str(version)}
        self._key = f"imports:session:{organization_id}:{version}"
        # It asks Redis for each second of the hour, some milliseconds in all: little beside the login itself.
        self._logins = WindowRateLimiter(
            RedisBackend(client=client),
            f"imports:logins:{organization_id}",
            limit=LOGINS_AN_HOUR,
            window=HOUR,
        )

    def read(self) -> Kept | Refused | None:
        """Return the session, or why there is none to be had; None where nobody has tried."""
        with quietly(NOT_SHARED):
            pipe = self._client.pipeline(transaction=False)
            pipe.get(self._key)
            pipe.get(f"{self._key}:refused")
            pipe.pttl(f"{self._key}:refused")
            kept, refused, left = pipe.execute()
            if kept is not None:
                return self._opened(kept)
            if refused is not None:
                return Refused(**{**json.loads(refused), "seconds": max(0, left) / 1000})
        return None

    def write(self, kept: Kept | Refused) -> None:
        """Tell the others what a login brought."""
        with quietly(NOT_SHARED, CredentialsError):
            if isinstance(kept, Refused):
                if kept.seconds > 0:
                    milliseconds = int(kept.seconds * 1000)
                    self._client.set(f"{self._key}:refused", json.dumps(asdict(kept)), px=milliseconds)
                return
            closed = self._credentials.seal(json.dumps([kept.token, kept.instance_url]), self._owner)
            self._client.set(self._key, f"{_digest(kept.token)}:{closed}", ex=SESSION_SECONDS)

    def forget(self, token: str) -> None:
        """Take a session back that Salesforce refuses, unless another has come into its place."""

        def drop(pipe: Pipeline) -> None:  # another session that comes meanwhile makes it begin anew
            kept = pipe.get(self._key)
            pipe.multi()
            if isinstance(kept, bytes) and kept.startswith(_digest(token).encode()):
                pipe.delete(self._key)

        with quietly(NOT_SHARED):
            self._client.transaction(drop, self._key)

    @contextlib.contextmanager
    def turn(self, seconds: float) -> Iterator[bool]:
        """Take the one turn at logging in; a holder that dies gives it up when the seconds are over."""
        lock, mine = self._client.lock(f"{self._key}:turn", timeout=seconds, thread_local=False), True
        with quietly(NOT_SHARED):
            mine = lock.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                with quietly(NOT_SHARED):  # a turn that has run out is another's by now, and stays so
                    lock.release()

    def may_log_in(self) -> bool:
        """Count a login of all processes together; False where they have been too many of late."""
        with quietly(NOT_SHARED), self._logins.acquire(raise_on_failure=False) as free:
            return bool(free)
        return True

    def _opened(self, kept: bytes) -> Kept | None:
        try:
            sealed = kept.decode().partition(":")[2]
            if not self._credentials.is_sealed(sealed):
                return None  # an earlier release's: one more login is made
            token, instance_url = json.loads(self._credentials.unseal(sealed, self._owner))
        except (CredentialsError, ValueError, TypeError):
            return None  # written under a key that this process does not have
        return Kept(str(token), str(instance_url))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
