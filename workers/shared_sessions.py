"""Hand sessions from process to process through Redis, encrypted like the credentials that they stand for.

    imports:session:O:V          digest of the token, then token and instance, encrypted; lives 15 minutes
    imports:session:O:V:turn     who logs in now
    imports:session:O:V:refused  why logging in is not worth trying; lives as long as that holds
    imports:logins:O             logins of an hour that began with the first of them; lives as long

O is an organization and V the version of its credentials, so that new credentials begin with nothing. A
process that cannot reach Redis does all of it for itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict

import redis
import structlog

from workers.credentials import Credentials, CredentialsError
from workers.sources.surroundings import Kept, Refused

log = structlog.get_logger(__name__)

SESSION_SECONDS = 900
HOUR, LOGINS_AN_HOUR = 3600, 1800
"""Half of what the vendor blocks a user for: other integrations may share it."""

# Delete a key only while it holds, or begins with, what is expected.
_IF_IT_IS = """
if string.sub(redis.call('GET', KEYS[1]) or '', 1, #ARGV[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""
# Redis itself ends the hour: processes may differ about the time.
_COUNT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count
"""


class RedisSession:
    """The shared session of one organization and version of its credentials. Raises nothing of Redis's."""

    def __init__(
        self, client: redis.Redis, credentials: Credentials, organization_id: str, *, version: object
    ) -> None:
        self._client, self._credentials = client, credentials
        # A session that was copied from another organization's key would fetch that one's attachments.
        self._owner = {"organization_id": organization_id, "session": str(version)}
        self._key = f"imports:session:{organization_id}:{version}"
        self._logins = f"imports:logins:{organization_id}"
        self._drop = client.register_script(_IF_IT_IS)
        self._count = client.register_script(_COUNT)

    def read(self) -> Kept | Refused | None:
        """Return the session, or why there is none to be had; None where nobody has tried."""
        with self._quietly():
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
        with self._quietly():
            if isinstance(kept, Refused):
                if kept.seconds > 0:
                    milliseconds = int(kept.seconds * 1000)
                    self._client.set(f"{self._key}:refused", json.dumps(asdict(kept)), px=milliseconds)
                return
            closed = self._credentials.seal(json.dumps([kept.token, kept.instance_url]), self._owner)
            self._client.set(self._key, f"{_digest(kept.token)}:{closed}", ex=SESSION_SECONDS)

    def forget(self, token: str) -> None:
        """Take a session back that Salesforce refuses, unless another has come into its place."""
        with self._quietly():
            self._drop(keys=[self._key], args=[_digest(token)])

    @contextlib.contextmanager
    def turn(self, seconds: float) -> Iterator[bool]:
        """Take the one turn at logging in; a holder that dies gives it up when the seconds are over."""
        name, mine = secrets.token_hex(16), True
        with self._quietly():
            mine = bool(self._client.set(f"{self._key}:turn", name, nx=True, px=int(seconds * 1000)))
        try:
            yield mine
        finally:
            if mine:
                with self._quietly():
                    self._drop(keys=[f"{self._key}:turn"], args=[name])

    def may_log_in(self) -> bool:
        """Count a login of all processes together; False where they have been too many of late."""
        with self._quietly():
            return int(self._count(keys=[self._logins], args=[HOUR])) <= LOGINS_AN_HOUR
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

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, CredentialsError) as error:
            log.debug("session not shared", reason=type(error).__name__)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
