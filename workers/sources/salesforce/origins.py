"""Decide which hosts may be spoken to, and how: https anywhere, plain http to this machine only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

SHARED_LOGIN_HOSTS = frozenset({"login.salesforce.com", "test.salesforce.com"})
"""Hosts where everybody logs in and nobody's records are: only the login's answer names the instance."""


class OriginError(ValueError):
    """A URL that must not be used; the text completes «The Salesforce URL …» and does not repeat it."""


_VENDORS = (".salesforce.com", ".force.com", ".salesforce.mil", ".sfcrmapps.cn", ".sfcrmproducts.cn")
"""Ends of the host names under which the vendor runs organizations."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme and host with port: all of a URL that we believe."""

    scheme: str
    host: str  # as a URL writes it, the port included where it is not the scheme's own

    @classmethod
    def of(cls, url: str) -> Origin:
        """Read the origin of a URL; path and query are dropped. Raises OriginError."""
        try:
            split = urlsplit(url.strip())
            name, port = split.hostname, split.port
        except ValueError:
            raise OriginError("cannot be read: write it as https://acme.my.salesforce.com") from None
        if split.scheme not in ("https", "http") or not name:
            raise OriginError("must begin with https:// and name a host")
        if split.username is not None or split.password is not None:
            raise OriginError("must not hold a user name or password")
        if not name.isascii() or any(letter in name for letter in " %\\"):
            raise OriginError("must name a host in plain letters")
        if split.scheme == "http" and not loopback(name):
            raise OriginError("must begin with https://: plain http is for this machine only")
        written = f"[{name}]" if ":" in name else name
        own = {"https": 443, "http": 80}[split.scheme]
        return cls(split.scheme, written if port in (None, own) else f"{written}:{port}")

    @property
    def url(self) -> str:
        """The origin as the beginning of a URL."""
        return f"{self.scheme}://{self.host}"


def loopback(name: str) -> bool:
    """Tell whether a host name can only mean this machine."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def may_follow(login: Origin, named: Origin) -> bool:
    """Tell whether a token got at one origin may be sent to another that the login's answer names.

    From a host of the vendor to a host of the vendor, as when an organization moves to another instance;
    on this machine from port to port. Never to a third host: an answer is no reason to trust one.
    """
    if login.scheme != named.scheme:
        return False
    from_host, to_host = _name(login), _name(named)
    if loopback(from_host):
        return loopback(to_host)
    return from_host.endswith(_VENDORS) and to_host.endswith(_VENDORS)


def _name(origin: Origin) -> str:
    return urlsplit(origin.url).hostname or ""
