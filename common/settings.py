"""Read every setting from the environment, once, and report all mistakes together.

One declaration a setting: its name and type, how its text is read, default, one sentence. Any setting may also come
from a file (`NAME_FILE`), so that secrets need not stand in the environment. Only the mains, the sweeper, the
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
    as_whole,
    as_zone,
)
from common.setting import setting, settings_of, text_of

BLOB_SCHEMES = ("file", "s3", "gs", "az", "gridfs", "memory")


class SettingsError(Exception):
    """Every mistake found in the environment, so that one run is enough to mend them all."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("Settings cannot be used:\n" + "\n".join(f"  - {mistake}" for mistake in mistakes))


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What the environment says, read and checked: an attribute is a setting, by its name in lower case."""

    mongodb_url: str = setting(
        as_mongodb_url,
        "mongodb://127.0.0.1:27017/imports",
        "Where the documents are kept; the path names the database.",
        secret=True,
    )
    redis_url: str = setting(
        as_url("redis", "rediss", "unix"),
        "redis://127.0.0.1:6379/0",
        "Where the queues are; needs `appendonly yes` and `maxmemory-policy noeviction`.",
        secret=True,
    )
    blobs_url: str = setting(
        as_url(*BLOB_SCHEMES),
        "file:///var/lib/imports/blobs",
        "Where originals and thumbnails are kept: file, s3, gs, az, gridfs or memory.",
    )
    spool_dir: Path = setting(
        Path,
        str(Path(tempfile.gettempdir()) / "imports-spool"),
        "Folder for files in work; emptied as work ends.",
    )
    token_secrets: tuple[str, ...] = setting(
        as_secrets,
        None,
        "Secrets that sign tokens, separated by commas: the first signs, all verify.",
        secret=True,
        only_for=("web",),
        withheld=(),
    )
    token_require_expiry: bool = setting(as_flag, "true", "Whether a token without `exp` is refused.")
    credentials_keys: tuple[str, ...] = setting(
        as_fernet_keys,
        "",
        "Fernet keys that encrypt stored Salesforce credentials: the first encrypts, all decrypt.",
        secret=True,
        only_for=("fetch",),
        withheld=(),
    )
    time_zone: zoneinfo.ZoneInfo = setting(
        as_zone, "UTC", "Zone in which answers write times; UTC is written `Z`."
    )
    host: str = setting(as_text, "127.0.0.1", "Address on which the web process listens.")
    port: int = setting(as_whole(1, 65535), "8000", "Port on which the web process listens.")
    operator_password: str | None = setting(
        as_optional(as_password),
        "",
        "Password of user `operator` for /dashboard and /metrics, which are not served without it.",
        secret=True,
        only_for=("web",),
    )
    log_level: str = setting(
        as_choice("debug", "info", "warning", "error"), "info", "Least level that is logged."
    )
    log_format: str = setting(
        as_choice("auto", "console", "json"),
        "auto",
        "How log lines look; `auto` is console on a terminal and JSON elsewhere.",
    )
    max_body_bytes: int = setting(as_whole(1024, 16 * 2**20), "1048576", "Largest request body in bytes.")
    header_seconds: float = setting(
        as_number(0.1, 300), "10", "Time a client has to send its request headers."
    )
    body_seconds: float = setting(as_number(0.1, 600), "15", "Time a client has to send its request body.")
    connections_per_peer: int = setting(
        as_whole(0, 100_000),
        "2500",
        "Connections that one address may have to one web process; 0 sets no bound, for use behind a proxy.",
    )
    organization_requests: int = setting(
        as_whole(1, 100_000),
        "256",
        "Requests that one organization may have in flight at one web process; more are answered 429.",
    )
    organization_large_requests: int = setting(
        as_whole(1, 1000),
        "1",
        "Of these, POSTs with a body over 16 KB that are worked on at once; others wait for their turn.",
    )
    failed_logins_per_peer: int = setting(
        as_whole(0, 1_000_000),
        "60",
        "Bad tokens and passwords of one address in a minute before they are answered 429; 0 behind a proxy.",
    )
    failed_logins: int = setting(
        as_whole(0, 10_000_000), "1000", "The same for all addresses together; 0 counts none."
    )
    max_original_bytes: int = setting(
        as_whole(1024, 10 * 2**30), "104857600", "Largest attachment that is fetched, in bytes."
    )
    blob_seconds: float = setting(
        as_number(0.1, 3600), "300", "Time in which one attachment must have arrived whole."
    )
    salesforce_api_version: str = setting(
        as_text, "65.0", "API version asked of Salesforce unless an organization names its own."
    )
    salesforce_ca_file: str | None = setting(
        as_optional(as_text),
        "",
        "File of the authorities (PEM) to trust for Salesforce, where they are not the usual ones.",
    )
    salesforce_reserve_percent: float = setting(
        as_number(0, 100),
        "20",
        "Share of an organization's daily API calls that groups of imports leave to its business.",
    )
    salesforce_floor_percent: float = setting(
        as_number(0, 100), "2", "Share of an organization's daily API calls that no import touches."
    )
    salesforce_concurrent_calls: int = setting(
        as_whole(1, 1000),
        "20",
        "Calls to one organization at once, all workers together; it refuses more than 25 long ones, a developer's 5.",
    )
    lease_seconds: float = setting(as_number(1, 600), "15", "How long a claim holds without being renewed.")
    lease_renew_seconds: float = setting(
        as_number(0.2, 200), "5", "How often claims are renewed; a third of the lease."
    )
    sweep_seconds: float = setting(as_number(0.1, 60), "2", "Pause between two looks of the sweeper.")
    max_deliveries: int = setting(
        as_whole(1, 100), "5", "Claims that nobody ended before an import fails as `worker_killed`."
    )
    max_attempts: int = setting(
        as_whole(1, 100), "8", "Clean failures of one kind of answer before an import fails."
    )
    import_deadline_seconds: int = setting(
        as_whole(1, 90 * 86400), "604800", "Age at which an open import ends as `expired`."
    )
    idempotency_seconds: int = setting(
        as_whole(60, 90 * 86400),
        "86400",
        "How long a request is known by its Idempotency-Key; then the key is free and the import stays.",
    )
    doorbells_per_organization: int = setting(
        as_whole(1, 10000),
        "6",
        "Fetches that one organization may have out, so that nobody's thousands stand before another's one; at most half of FETCH_THREADS of all machines.",
    )
    renders_per_organization: int = setting(
        as_whole(1, 10000),
        "3",
        "The same for the queue `render`: as many as there are render processes on all machines, and one more; two of them are given up while another organization's single import is there.",
    )
    signature_logo_bytes: int = setting(
        as_whole(0, 2**20),
        "10240",
        "Size below which a group leaves out a picture of a mail that is named like a signature's logo; 0 takes all.",
    )
    max_pixels: int = setting(as_whole(1, 10**9), "100000000", "Largest picture that is decoded, in pixels.")
    thumbnails: str = setting(
        as_text,
        "large 1280, medium 480, small 160",
        "Which thumbnails are made, and how (docs/reference/pictures.md); an organization may have its own.",
    )
    gps_policy: str = setting(
        as_choice("keep", "round", "drop"),
        "keep",
        "What the record keeps of where a picture was taken: all, about a kilometre, nothing.",
    )
    render_seconds: float = setting(as_number(0.5, 600), "20", "Time in which one picture must be rendered.")
    render_memory_bytes: int = setting(
        as_whole(256 * 2**20, 2**40), "1610612736", "Address space of a decoding child."
    )
    render_reuse: int = setting(
        as_whole(1, 10000), "50", "Pictures that one decoding child renders before it is replaced."
    )
    accept_truncated: bool = setting(
        as_flag, "false", "Whether a truncated picture is rendered and marked `partial`."
    )
    shutdown_seconds: float = setting(
        as_number(0.1, 600), "5", "Time that work in hand has to end after SIGTERM before it is given back."
    )
    strict_stores: bool = setting(
        as_flag, "false", "Whether stores that are not set safely stop the start instead of a warning."
    )

    @classmethod
    def load(cls, environ: Mapping[str, str], *, process: str = "") -> Settings:
        """Read and check every setting that a process reads; by default every one there is.

        Raises SettingsError with all mistakes at once.
        """
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for one in TABLE:
            if not one.is_for(process):
                values[one.attribute] = one.withheld
                continue
            try:
                values[one.attribute] = one.parse(text_of(one, environ))
            except ValueError as mistake:
                mistakes.append(f"{one.name} {mistake}.")
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


TABLE = settings_of(Settings)
