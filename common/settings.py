"""Read every setting from the environment, once, and report all mistakes together.

One frozen table: name, how its text is read, default, one sentence. Any setting may also come from a
file (`NAME_FILE`), so that secrets need not stand in the environment. Only the mains, the sweeper, the
`imports` command and the sandbox read settings; everything else is handed plain values.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BLOB_SCHEMES = ("file", "s3", "gs", "az", "gridfs", "memory")


class SettingsError(Exception):
    """Every mistake found in the environment, so that one run is enough to mend them all."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("Settings cannot be used:\n" + "\n".join(f"  - {mistake}" for mistake in mistakes))


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table; `parse` raises ValueError with a sentence that completes «NAME …»."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    sentence: str
    secret: bool = False

    @property
    def attribute(self) -> str:
        return self.name.lower()


def _text(text: str) -> str:
    return text


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text.lower()

    return parse


def _number(low: float, high: float, kind: Callable[[str], float] = int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(f"must be a number, not {text[:40]!r}") from None
        if not low <= value <= high:
            raise ValueError(f"must lie between {low:g} and {high:g}")
        return value

    return parse


def _flag(text: str) -> bool:
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off", ""):
        return False
    raise ValueError("must be true or false")


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if urlsplit(text).scheme not in schemes:
            raise ValueError(f"must be a URL that begins with {' or '.join(s + '://' for s in schemes)}")
        return text

    return parse


def _mongodb_url(text: str) -> str:
    if not _url("mongodb", "mongodb+srv")(text) or len(urlsplit(text).path) < 2:
        raise ValueError("must name the database in its path, as in mongodb://host:27017/imports")
    return text


def _zone(text: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC or Europe/Paris") from None


def _secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(part.strip() for part in text.split(",") if part.strip())
    if not secrets:
        raise ValueError("must hold at least one secret; make one with `openssl rand -hex 32`")
    if any(len(secret.encode()) < 32 for secret in secrets):
        raise ValueError("holds a secret shorter than 32 bytes; make one with `openssl rand -hex 32`")
    return secrets


def _fernet_keys(text: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in text.split(",") if part.strip())
    for key in keys:
        try:
            fits = len(base64.urlsafe_b64decode(key.encode())) == 32
        except (binascii.Error, ValueError):
            fits = False
        if not fits:
            raise ValueError("must hold Fernet keys: 32 bytes in url-safe base64, separated by commas")
    return keys


def _optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: parse(text) if text else None


TABLE: tuple[Setting, ...] = (
    Setting(
        "MONGODB_URL",
        _mongodb_url,
        "mongodb://127.0.0.1:27017/imports",
        "Where the documents are kept; the path names the database.",
        secret=True,
    ),
    Setting(
        "REDIS_URL",
        _url("redis", "rediss", "unix"),
        "redis://127.0.0.1:6379/0",
        "Where the queues are; needs `appendonly yes` and `maxmemory-policy noeviction`.",
        secret=True,
    ),
    Setting(
        "BLOBS_URL",
        _url(*BLOB_SCHEMES),
        "file:///var/lib/imports/blobs",
        "Where originals and thumbnails are kept: file, s3, gs, az, gridfs or memory.",
    ),
    Setting(
        "SPOOL_DIR",
        Path,
        str(Path(tempfile.gettempdir()) / "imports-spool"),
        "Folder for files in work; emptied as work ends.",
    ),
    Setting(
        "TOKEN_SECRETS",
        _secrets,
        None,
        "Secrets that sign tokens, separated by commas: the first signs, all verify.",
        secret=True,
    ),
    Setting("TOKEN_REQUIRE_EXPIRY", _flag, "true", "Whether a token without `exp` is refused."),
    Setting(
        "CREDENTIALS_KEYS",
        _fernet_keys,
        "",
        "Fernet keys that encrypt stored Salesforce credentials: the first encrypts, all decrypt.",
        secret=True,
    ),
    Setting("TIME_ZONE", _zone, "UTC", "Zone in which answers write times; UTC is written `Z`."),
    Setting("HOST", _text, "127.0.0.1", "Address on which the web process listens."),
    Setting("PORT", _number(1, 65535), "8000", "Port on which the web process listens."),
    Setting(
        "OPERATOR_PASSWORD",
        _optional(_text),
        "",
        "Password of user `operator` for /dashboard and /metrics; without it they answer loopback only.",
        secret=True,
    ),
    Setting("LOG_LEVEL", _choice("debug", "info", "warning", "error"), "info", "Least level that is logged."),
    Setting(
        "LOG_FORMAT",
        _choice("auto", "console", "json"),
        "auto",
        "How log lines look; `auto` is console on a terminal and JSON elsewhere.",
    ),
    Setting("MAX_BODY_BYTES", _number(1024, 16 * 2**20), "1048576", "Largest request body in bytes."),
    Setting(
        "HEADER_SECONDS", _number(0.1, 300, float), "10", "Time a client has to send its request headers."
    ),
    Setting("BODY_SECONDS", _number(0.1, 600, float), "15", "Time a client has to send its request body."),
    Setting(
        "MAX_ORIGINAL_BYTES",
        _number(1024, 10 * 2**30),
        "104857600",
        "Largest attachment that is fetched, in bytes.",
    ),
    Setting(
        "BLOB_SECONDS",
        _number(0.1, 3600, float),
        "300",
        "Time in which one attachment must have arrived whole.",
    ),
    Setting(
        "SALESFORCE_API_VERSION",
        _text,
        "65.0",
        "API version asked of Salesforce unless an organization names its own.",
    ),
    Setting(
        "SALESFORCE_CA_FILE",
        _optional(_text),
        "",
        "File of the authorities (PEM) to trust for Salesforce, where they are not the usual ones.",
    ),
    Setting(
        "SALESFORCE_RESERVE_PERCENT",
        _number(0, 100, float),
        "20",
        "Share of an organization's daily API calls that groups of imports leave to its business.",
    ),
    Setting(
        "SALESFORCE_FLOOR_PERCENT",
        _number(0, 100, float),
        "2",
        "Share of an organization's daily API calls that no import touches.",
    ),
    Setting(
        "SALESFORCE_CONCURRENT_CALLS",
        _number(1, 1000),
        "20",
        "Calls to one organization at once, all workers together; it refuses more than 25 long ones, a developer's 5.",
    ),
    Setting("LEASE_SECONDS", _number(1, 600, float), "15", "How long a claim holds without being renewed."),
    Setting(
        "LEASE_RENEW_SECONDS",
        _number(0.2, 200, float),
        "5",
        "How often claims are renewed; a third of the lease.",
    ),
    Setting("SWEEP_SECONDS", _number(0.1, 60, float), "2", "Pause between two looks of the sweeper."),
    Setting(
        "MAX_DELIVERIES",
        _number(1, 100),
        "5",
        "Claims that nobody ended before an import fails as `worker_killed`.",
    ),
    Setting(
        "MAX_ATTEMPTS", _number(1, 100), "8", "Clean failures of one kind of answer before an import fails."
    ),
    Setting(
        "IMPORT_DEADLINE_SECONDS",
        _number(1, 90 * 86400),
        "604800",
        "Age at which an open import ends as `expired`.",
    ),
    Setting(
        "IDEMPOTENCY_SECONDS",
        _number(60, 90 * 86400),
        "86400",
        "How long a request is known by its Idempotency-Key; then the key is free and the import stays.",
    ),
    Setting(
        "DOORBELLS_PER_ORGANIZATION",
        _number(1, 10000),
        "6",
        "Fetches that one organization may have out, so that nobody's thousands stand before another's one; four less than FETCH_THREADS of all machines at the most.",
    ),
    Setting(
        "RENDERS_PER_ORGANIZATION",
        _number(1, 10000),
        "3",
        "The same for the queue `render`: enough to keep the render processes of all machines busy, and one more.",
    ),
    Setting(
        "SIGNATURE_LOGO_BYTES",
        _number(0, 2**20),
        "10240",
        "Size below which a group leaves out a picture of a mail that is named like a signature's logo; 0 takes all.",
    ),
    Setting("MAX_PIXELS", _number(1, 10**9), "100000000", "Largest picture that is decoded, in pixels."),
    Setting(
        "THUMBNAILS",
        _text,
        "large 1280, medium 480, small 160",
        "Which thumbnails are made, and how (docs/reference/pictures.md); an organization may have its own.",
    ),
    Setting(
        "GPS_POLICY",
        _choice("keep", "round", "drop"),
        "keep",
        "What the record keeps of where a picture was taken: all, about a kilometre, nothing.",
    ),
    Setting("RENDER_SECONDS", _number(0.5, 600, float), "20", "Time in which one picture must be rendered."),
    Setting(
        "RENDER_MEMORY_BYTES", _number(256 * 2**20, 2**40), "1610612736", "Address space of a decoding child."
    ),
    Setting(
        "RENDER_REUSE",
        _number(1, 10000),
        "50",
        "Pictures that one decoding child renders before it is replaced.",
    ),
    Setting(
        "ACCEPT_TRUNCATED", _flag, "false", "Whether a truncated picture is rendered and marked `partial`."
    ),
    Setting(
        "SHUTDOWN_SECONDS",
        _number(0.1, 600, float),
        "8",
        "Time that work in hand has to end after SIGTERM before it is given back.",
    ),
    Setting(
        "STRICT_STORES",
        _flag,
        "false",
        "Whether stores that are not set safely stop the start instead of a warning.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says, read and checked. Attributes are the lower-case names of the table."""

    mongodb_url: str
    redis_url: str
    blobs_url: str
    spool_dir: Path
    token_secrets: tuple[str, ...]
    token_require_expiry: bool
    credentials_keys: tuple[str, ...]
    time_zone: zoneinfo.ZoneInfo
    host: str
    port: int
    operator_password: str | None
    log_level: str
    log_format: str
    max_body_bytes: int
    header_seconds: float
    body_seconds: float
    max_original_bytes: int
    blob_seconds: float
    salesforce_api_version: str
    salesforce_ca_file: str | None
    salesforce_reserve_percent: float
    salesforce_floor_percent: float
    salesforce_concurrent_calls: int
    lease_seconds: float
    lease_renew_seconds: float
    sweep_seconds: float
    max_deliveries: int
    max_attempts: int
    import_deadline_seconds: int
    idempotency_seconds: int
    doorbells_per_organization: int
    renders_per_organization: int
    signature_logo_bytes: int
    max_pixels: int
    thumbnails: str
    gps_policy: str
    render_seconds: float
    render_memory_bytes: int
    render_reuse: int
    accept_truncated: bool
    shutdown_seconds: float
    strict_stores: bool

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check every row of the table. Raises SettingsError with all mistakes at once."""
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for setting in TABLE:
            try:
                values[setting.attribute] = setting.parse(_raw(setting, environ))
            except ValueError as mistake:
                mistakes.append(f"{setting.name} {mistake}.")
        renew, lease = values.get("lease_renew_seconds"), values.get("lease_seconds")
        if renew and lease and renew * 2 > lease:
            mistakes.append(
                "LEASE_RENEW_SECONDS must be at most half of LEASE_SECONDS, or one late beat loses the claim."
            )
        reserve, floor = values.get("salesforce_reserve_percent"), values.get("salesforce_floor_percent")
        if reserve is not None and floor is not None and floor > reserve:
            mistakes.append(
                "SALESFORCE_FLOOR_PERCENT must be at most SALESFORCE_RESERVE_PERCENT: groups pause before single imports."
            )
        if mistakes:
            raise SettingsError(tuple(mistakes))
        return cls(**values)

    def __repr__(self) -> str:
        """Name the type only: a settings value in a traceback must not print its secrets."""
        return "Settings(…)"


def _raw(setting: Setting, environ: Mapping[str, str]) -> str:
    """Return the text of a setting: from the environment, from NAME_FILE, or its default."""
    file = environ.get(setting.name + "_FILE")
    if file and environ.get(setting.name):
        raise ValueError(f"is given twice: keep either {setting.name} or {setting.name}_FILE")
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"cannot be read from the file that {setting.name}_FILE names ({type(error).__name__})"
            ) from None
    text = environ.get(setting.name)
    if text:
        return text.strip()
    if setting.default is None:
        raise ValueError("is not set; see `docs/reference/settings.md`")
    return setting.default
