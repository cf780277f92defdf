"""Send one request over and over on many connections, and tell how long each answer took."""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True, slots=True)
class Answers:
    """How a load was answered; times in milliseconds."""

    answered: int
    refused: int  # any status but 2xx
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Return the answers of each second."""
        return self.answered / self.seconds


def post(url: str, *, token: str, form: dict[str, str], connections: int, seconds: float) -> Answers:
    """POST a form for some seconds, from a process of its own."""
    body = urlencode(form).encode()
    parts = urlsplit(url)
    head = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f'Authorization: Token token="{token}"',
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    payload = "\r\n".join(head).encode() + body
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_run, (parts.hostname, parts.port, payload, connections, seconds))
    return Answers(**found)


def _run(host: str, port: int, payload: bytes, connections: int, seconds: float) -> dict[str, Any]:
    return asdict(asyncio.run(_load(host, port, payload, connections, seconds)))


async def _load(host: str, port: int, payload: bytes, connections: int, seconds: float) -> Answers:
    times: list[float] = []
    refused = 0
    until = time.monotonic() + seconds

    async def one() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection(host, port)
        while time.monotonic() < until:
            began = time.perf_counter()
            writer.write(payload)
            head = await reader.readuntil(b"\r\n\r\n")
            lowered = head.lower()
            length = int(lowered.partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - began)
            refused += not head.startswith(b"HTTP/1.1 2")
            if b"connection: close" in lowered:
                writer.close()
                reader, writer = await asyncio.open_connection(host, port)
        writer.close()

    began = time.monotonic()
    await asyncio.gather(*(one() for _ in range(connections)))
    spent = time.monotonic() - began
    cuts = statistics.quantiles(times, n=100)
    return Answers(
        len(times) - refused, refused, round(spent, 2), round(cuts[49] * 1000, 1), round(cuts[98] * 1000, 1)
    )
