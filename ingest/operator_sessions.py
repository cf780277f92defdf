"""Know a person who has logged in as the operator by a cookie that only we can have signed.

The key is made of the operator's password, so every web process knows the same sessions, none has to be kept, and a
new password ends them all. Making it costs as much as a guess should: a cookie that leaks is no quick way to the
password.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime

COOKIE = "operator_session"
SESSION_SECONDS = 43_200
_WIDTH = 12


class OperatorSessions:
    """Begins sessions and knows them again. `clock` is the stores' time, which all processes share."""

    def __init__(self, password: str, *, clock: Callable[[], datetime]) -> None:
        self._key = hashlib.scrypt(password.encode(), salt=b"operator session", n=2**14, r=8, p=1)
        self._password, self._clock = password.encode(), clock

    def is_password(self, given: bytes) -> bool:
        """Tell whether this is the operator's password."""
        return hmac.compare_digest(given, self._password)

    def begin(self) -> str:
        """Return the value of a session that begins now."""
        ends = f"{int(self._clock().timestamp()) + SESSION_SECONDS:0{_WIDTH}}"
        return f"{ends}.{self._signature(ends)}"

    def holds(self, value: str) -> bool:
        """Tell whether a value is that of a session which has not ended."""
        ends, _, signature = value.partition(".")
        if not (ends.isascii() and ends.isdigit() and len(ends) == _WIDTH and signature.isascii()):
            return False
        return hmac.compare_digest(signature, self._signature(ends)) and int(ends) > self._clock().timestamp()

    def _signature(self, ends: str) -> str:
        return hmac.digest(self._key, ends.encode(), "sha256").hex()
