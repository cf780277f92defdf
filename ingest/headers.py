"""Hold the headers of every answer as data, and the few that are made for each.

The sets are what existing clients have always received, down to two that browsers no longer know (P3P,
X-XSS-Protection). Their order is that of the original's answers.
"""

from __future__ import annotations

import ipaddress
import math
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

Headers = tuple[tuple[str, str], ...]

NO_STORE: Headers = (
    ("Cache-Control", "no-cache, no-store"),
    ("Pragma", "no-cache"),
    ("Expires", "Fri, 01 Jan 1990 00:00:00 GMT"),
)
JSON: Headers = (("Content-Type", "application/json; charset=utf-8"),)
COMPRESSED: Headers = (("Vary", "Accept-Encoding"),)
GUARDS: Headers = (
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-XSS-Protection", "1; mode=block"),
    ("X-Download-Options", "noopen"),
    ("X-Permitted-Cross-Domain-Policies", "none"),
    ("Referrer-Policy", "origin-when-cross-origin, strict-origin-when-cross-origin"),
)
POLICY: Headers = (("P3P", 'CP="NOI ADM DEV PSAi COM NAV OUR OTRo STP IND DEM"'),)

# RFC 9112, 3.2 and RFC 3986, 3.2.2: a name, an IPv4 address, or a literal in brackets; then perhaps a port.
_HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")
_ODD_IN_REQUEST_ID = re.compile(r"[^A-Za-z0-9_\-@]")
_SIMPLE = re.compile(r"[A-Za-z0-9 !#$&'()+,.=@^_`{}~\-\[\]]+")
_ATTR_CHAR = "!#$&+-.^_`|~"  # what RFC 8187 lets stand unencoded, beside letters and digits
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LONGEST_NAME = 150


def answer(*, request_id: str, runtime: str, token: str | None = None) -> list[tuple[str, str]]:
    """Return the headers of a JSON answer, in the original's order; Content-Length is the server's to add.

    `token` is the renewed token of a successful authenticated answer. A problem answer takes the same set
    with its own Content-Type in the place of this one, and never a token.
    """
    renewed = (("X-token", token),) if token else ()
    made = (("X-Request-Id", request_id), ("X-Runtime", runtime))
    return [*NO_STORE, *JSON, *renewed, *COMPRESSED, *POLICY, *made, *GUARDS]


def file(  # noqa: PLR0913 - all of it by keyword
    *,
    request_id: str,
    runtime: str,
    content_type: str,
    sha256: str,
    filename: str | None,
    inline: bool,
) -> list[tuple[str, str]]:
    """Return the headers of an original or a thumbnail.

    A browser may keep it, a shared cache may not, and whoever kept it asks again each time (304 is cheap):
    otherwise a user who was locked out would go on seeing pictures. The content policy makes a file that
    pretends to be a page harmless where it is opened by itself.
    """
    return [
        ("Cache-Control", "private, no-cache"),
        ("ETag", etag(sha256)),
        ("Content-Type", content_type),
        ("Content-Disposition", content_disposition(filename, inline=inline)),
        ("Content-Security-Policy", "default-src 'none'; sandbox"),
        *POLICY,
        ("X-Request-Id", request_id),
        ("X-Runtime", runtime),
        *GUARDS,
    ]


def etag(sha256: str) -> str:
    """Return the strong validator of a file: its bytes are named by their digest."""
    return f'"{sha256}"'


def request_id(inbound: str | None, new_id: Callable[[], str]) -> str:
    """Return the caller's id with all but `A-Za-z0-9_-@` removed and cut to 255; a new one where none is left."""
    return _ODD_IN_REQUEST_ID.sub("", inbound or "")[:255] or new_id()


def runtime(seconds: float) -> str:
    """Return a duration with exactly six decimals; a clock that stepped back shows as zero."""
    return f"{max(seconds, 0.0) if math.isfinite(seconds) else 0.0:.6f}"


def content_disposition(filename: str | None, *, inline: bool) -> str:
    """Return a Content-Disposition (RFC 6266) that no filename can break: pure ASCII, one line.

    Controls and direction overrides are dropped, path separators become `_`, names past 150 characters lose
    their middle. Old agents read `filename`, others the exact `filename*` (RFC 8187), which is left out where
    it would say the same.
    """
    how = "inline" if inline else "attachment"
    name = _plain_name(filename or "")
    if not name:
        return how
    # Agents disagree on a percent sign, a backslash and a semicolon, so none stands in `filename`.
    simple = "".join(c if _SIMPLE.fullmatch(c) else "_" for c in name)
    if simple == name:
        return f'{how}; filename="{name}"'
    return f"{how}; filename=\"{simple}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"


def _plain_name(filename: str) -> str:
    """Return the name without what could deceive a person, a shell or a header; empty where nothing is left."""
    whole = filename.encode("utf-8", "replace").decode("utf-8")  # lone surrogates become question marks
    kept = "".join(
        "_" if c in "/\\" else c
        for c in whole
        if c not in _BIDI and unicodedata.category(c) not in ("Cc", "Zl", "Zp")
    ).strip(" .")
    if len(kept) <= _LONGEST_NAME:
        return kept
    return f"{kept[: _LONGEST_NAME - 21]}…{kept[-20:]}"  # the end holds the extension


def is_host(value: bytes) -> bool:
    """Tell whether a Host header names a host, with a port or without one."""
    found = _HOST.fullmatch(value)
    if found is None or found[1] is None:
        return found is not None
    try:
        ipaddress.IPv6Address(found[1].decode("ascii"))
    except ValueError:
        return False
    return True
