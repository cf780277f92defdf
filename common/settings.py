"""Read every setting from the environment, once, and report all mistakes together.

One frozen table: name, how its text is read, default, one sentence. Any setting may also come from a
file (`NAME_FILE`), so that secrets need not stand in the environment. Only the mains, the sweeper, the
`imports` command and the sandbox read settings; everything else is handed plain values.
"""

from __future__ import annotations

import tempfile
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.readings import (
    as_choice,
    as_fernet_keys,
    as_flag,
    as_mongodb_url,
    as_number,
    as_optional,
    as_password,
    as_secrets,
    as_text,
    as_url,
    as_zone,
)
from common.setting import Setting, text_of

BLOB_SCHEMES = ("file", "s3", "gs", "az", "gridfs", "memory")


class SettingsError(Exception):
    """Every mistake found in the environment, so that one run is enough to mend them all."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("Settings cannot be used:\n" + "\n".join(f"  - {mistake}" for mistake in mistakes))


TABLE: tuple[Setting, ...] = (
    Setting(
        "MONGODB_URL",
        as_mongodb_url,
        "mongodb://127.0.0.1:27017/imports",
        "Where the documents are kept; the path names the database.",
        secret=True,
    ),
    Setting(
        "REDIS_URL",
        as_url("redis", "rediss", "unix"),
        "redis://127.0.0.1:6379/0",
        "Where the queues are; needs `appendonly yes` and `maxmemory-policy noeviction`.",
        secret=True,
    ),
    Setting(
        "BLOBS_URL",
        as_url(*BLOB_SCHEMES),
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
        as_secrets,
        None,
        "Secrets that sign tokens, separated by commas: the first signs, all verify.",
        secret=True,
        only_for=("web",),
        withheld=(),
    ),
    Setting("TOKEN_REQUIRE_EXPIRY", as_flag, "true", "Whether a token without `exp` is refused."),
    Setting(
        "CREDENTIALS_KEYS",
        as_fernet_keys,
        "",
        "Fernet keys that encrypt stored Salesforce credentials: the first encrypts, all decrypt.",
        secret=True,
        only_for=("fetch",),
        withheld=(),
    ),
    Setting("TIME_ZONE", as_zone, "UTC", "Zone in which answers write times; UTC is written `Z`."),
    Setting("HOST", as_text, "127.0.0.1", "Address on which the web process listens."),
    Setting("PORT", as_number(1, 65535), "8000", "Port on which the web process listens."),
    Setting(
        "OPERATOR_PASSWORD",
        as_optional(as_password),
        "",
        "Password of user `operator` for /dashboard and /metrics, which are not served without it.",
        secret=True,
        only_for=("web",),
    ),
    Setting(
        "LOG_LEVEL", as_choice("debug", "info", "warning", "error"), "info", "Least level that is logged."
    ),
    Setting(
        "LOG_FORMAT",
        as_choice("auto", "console", "json"),
        "auto",
        "How log lines look; `auto` is console on a terminal and JSON elsewhere.",
    ),
    Setting("MAX_BODY_BYTES", as_number(1024, 16 * 2**20), "1048576", "Largest request body in bytes."),
    Setting(
        "HEADER_SECONDS", as_number(0.1, 300, float), "10", "Time a client has to send its request headers."
    ),
    Setting("BODY_SECONDS", as_number(0.1, 600, float), "15", "Time a client has to send its request body."),
    Setting(
        "CONNECTIONS_PER_PEER",
        as_number(0, 100_000),
        "2500",
        "Connections that one address may have to one web process; 0 sets no bound, for use behind a proxy.",
    ),
    Setting(
        "ORGANIZATION_REQUESTS",
        as_number(1, 100_000),
        "256",
        "Requests that one organization may have in flight at one web process; more are answered 429.",
    ),
    Setting(
        "ORGANIZATION_LARGE_REQUESTS",
        as_number(1, 1000),
        "1",
        "Of these, POSTs with a body over 16 KB that are worked on at once; others wait for their turn.",
    ),
    Setting(
        "FAILED_LOGINS_PER_PEER",
        as_number(0, 1_000_000),
        "60",
        "Bad tokens and passwords of one address in a minute before they are answered 429; 0 behind a proxy.",
    ),
    Setting(
        "FAILED_LOGINS",
        as_number(0, 10_000_000),
        "1000",
        "The same for all addresses together; 0 counts none.",
    ),
    Setting(
        "MAX_ORIGINAL_BYTES",
        as_number(1024, 10 * 2**30),
        "104857600",
        "Largest attachment that is fetched, in bytes.",
    ),
    Setting(
        "BLOB_SECONDS",
        as_number(0.1, 3600, float),
        "300",
        "Time in which one attachment must have arrived whole.",
    ),
    Setting(
        "SALESFORCE_API_VERSION",
        as_text,
        "65.0",
        "API version asked of Salesforce unless an organization names its own.",
    ),
    Setting(
        "SALESFORCE_CA_FILE",
        as_optional(as_text),
        "",
        "File of the authorities (PEM) to trust for Salesforce, where they are not the usual ones.",
    ),
    Setting(
        "SALESFORCE_RESERVE_PERCENT",
        as_number(0, 100, float),
        "20",
        "Share of an organization's daily API calls that groups of imports leave to its business.",
    ),
    Setting(
        "SALESFORCE_FLOOR_PERCENT",
        as_number(0, 100, float),
        "2",
        "Share of an organization's daily API calls that no import touches.",
    ),
    Setting(
        "SALESFORCE_CONCURRENT_CALLS",
        as_number(1, 1000),
        "20",
        "Calls to one organization at once, all workers together; it refuses more than 25 long ones, a developer's 5.",
    ),
    Setting("LEASE_SECONDS", as_number(1, 600, float), "15", "How long a claim holds without being renewed."),
    Setting(
        "LEASE_RENEW_SECONDS",
        as_number(0.2, 200, float),
        "5",
        "How often claims are renewed; a third of the lease.",
    ),
    Setting("SWEEP_SECONDS", as_number(0.1, 60, float), "2", "Pause between two looks of the sweeper."),
    Setting(
        "MAX_DELIVERIES",
        as_number(1, 100),
        "5",
        "Claims that nobody ended before an import fails as `worker_killed`.",
    ),
    Setting(
        "MAX_ATTEMPTS", as_number(1, 100), "8", "Clean failures of one kind of answer before an import fails."
    ),
    Setting(
        "IMPORT_DEADLINE_SECONDS",
        as_number(1, 90 * 86400),
        "604800",
        "Age at which an open import ends as `expired`.",
    ),
    Setting(
        "IDEMPOTENCY_SECONDS",
        as_number(60, 90 * 86400),
        "86400",
        "How long a request is known by its Idempotency-Key; then the key is free and the import stays.",
    ),
    Setting(
        "DOORBELLS_PER_ORGANIZATION",
        as_number(1, 10000),
        "6",
        "Fetches that one organization may have out, so that nobody's thousands stand before another's one; at most half of FETCH_THREADS of all machines.",
    ),
    Setting(
        "RENDERS_PER_ORGANIZATION",
        as_number(1, 10000),
        "3",
        "The same for the queue `render`: as many as there are render processes on all machines, and one more; two of them are given up while another organization's single import is there.",
    ),
    Setting(
        "SIGNATURE_LOGO_BYTES",
        as_number(0, 2**20),
        "10240",
        "Size below which a group leaves out a picture of a mail that is named like a signature's logo; 0 takes all.",
    ),
    Setting("MAX_PIXELS", as_number(1, 10**9), "100000000", "Largest picture that is decoded, in pixels."),
    Setting(
        "THUMBNAILS",
        as_text,
        "large 1280, medium 480, small 160",
        "Which thumbnails are made, and how (docs/reference/pictures.md); an organization may have its own.",
    ),
    Setting(
        "GPS_POLICY",
        as_choice("keep", "round", "drop"),
        "keep",
        "What the record keeps of where a picture was taken: all, about a kilometre, nothing.",
    ),
    Setting(
        "RENDER_SECONDS", as_number(0.5, 600, float), "20", "Time in which one picture must be rendered."
    ),
    Setting(
        "RENDER_MEMORY_BYTES",
        as_number(256 * 2**20, 2**40),
        "1610612736",
        "Address space of a decoding child.",
    ),
    Setting(
        "RENDER_REUSE",
        as_number(1, 10000),
        "50",
        "Pictures that one decoding child renders before it is replaced.",
    ),
    Setting(
        "ACCEPT_TRUNCATED", as_flag, "false", "Whether a truncated picture is rendered and marked `partial`."
    ),
    Setting(
        "SHUTDOWN_SECONDS",
        as_number(0.1, 600, float),
        "5",
        "Time that work in hand has to end after SIGTERM before it is given back.",
    ),
    Setting(
        "STRICT_STORES",
        as_flag,
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
    connections_per_peer: int
    organization_requests: int
    organization_large_requests: int
    failed_logins_per_peer: int
    failed_logins: int
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
    def load(cls, environ: Mapping[str, str], *, process: str = "") -> Settings:
        """Read and check every row of the table that a process reads; by default every row there is.

        Raises SettingsError with all mistakes at once.
        """
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for setting in TABLE:
            if not setting.is_for(process):
                values[setting.attribute] = setting.withheld
                continue
            try:
                values[setting.attribute] = setting.parse(text_of(setting, environ))
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
