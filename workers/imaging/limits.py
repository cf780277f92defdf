"""Say how much one picture may cost before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one picture may cost.

    `pixels`, `scans` and `metadata_bytes` are judged from the header, before memory or time is spent; `pixels`
    is lower for formats that would not fit into `memory_bytes` (see `footprint`). `seconds` (wall time,
    enforced from outside), `cpu_seconds` (half of `seconds` unless given: what needs more on a quiet machine
    is too costly) and `memory_bytes` (address space) bind the decoding child only: a picture that is
    rendered in this process has no such net.
    """

    pixels: int = 100_000_000
    scans: int = 100
    metadata_bytes: int = 33_554_432
    seconds: float = 20.0
    cpu_seconds: float | None = None
    memory_bytes: int = 1_610_612_736
    accept_truncated: bool = False
