"""Stand between the product and a store, and do to their connections what a bad network does.

`be` changes the weather at run time. What a connection has lost by it cannot come back, so such connections
are reset when the weather clears, as a real one would find itself out of step.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

PIECE = 1 << 16
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What happens to connections; by default nothing.

    `up` is what the product sends, `down` what the store answers. `latency` is in seconds for each piece and
    direction, `bandwidth` in bytes a second; `close_after` ends a connection in an orderly way after so many
    bytes of answers.
    """

    refuse: bool = False
    reset: bool = False
    stall: bool = False
    lose: Literal["up", "down"] | None = None
    latency: float = 0.0
    bandwidth: int | None = None
    close_after: int | None = None


FAIR = Weather()


@dataclass(eq=False, slots=True)
class _Joined:
    """One connection and its other half; `spoiled` once bytes of it are gone."""

    product: asyncio.StreamWriter
    store: asyncio.StreamWriter
    answered: int = 0
    spoiled: bool = False
    losing: bool = field(default=False)  # its next answer, and then itself

    def reset(self) -> None:
        for writer in (self.product, self.store):
            _reset(writer)


class Proxy:
    """Listens on `port` of loopback and carries every connection to `target` there, until it is closed."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._weather = FAIR
        self._moving = asyncio.Event()
        self._moving.set()
        self._drop: tuple[bytes, ...] | None = None
        self.dropped = 0  # answers that were lost on demand
        self.requests: list[bytes] | None = None  # what the product sends, while it is noted
        self._joined: set[_Joined] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        # Bound and never listening: nobody else is given the port while connections are refused.
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy of {target}", daemon=True)
        self._thread.start()
        self._do(self._listen())

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def be(self, weather: Weather) -> None:
        """Change the weather for old and new connections."""
        self._do(self._change(weather))

    @contextlib.contextmanager
    def weather(self, **kinds: Any) -> Iterator[None]:
        """Have a weather for the length of a block."""
        self.be(Weather(**kinds))
        try:
            yield
        finally:
            self.be(FAIR)

    def drop_reply(self, *containing: bytes) -> None:
        """Deliver the next request that holds all of these, lose its answer, and reset its connection."""
        self._drop = containing

    @contextlib.contextmanager
    def noting(self) -> Iterator[list[bytes]]:
        """Note each request for the length of a block; a driver sends one, and waits for its answer."""
        noted = self.requests = []
        try:
            yield noted
        finally:
            self.requests = None

    def close(self) -> None:
        """End every connection and stop listening."""
        if not self._thread.is_alive():
            return
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        self._place.close()

    # -- in the loop's thread ------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=_bound(self.port), backlog=512)

    async def _change(self, weather: Weather) -> None:
        before, self._weather = self._weather, weather
        if weather.stall:
            self._moving.clear()
        else:
            self._moving.set()
        if weather.refuse or weather.reset:
            self._reset(all_of_them=True)
        elif before.lose and before.lose != weather.lose:
            self._reset(all_of_them=False)
        if weather.refuse and self._server is not None:
            self._server.close()
            self._server = None
        elif not weather.refuse and self._server is None:
            await self._listen()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reset(all_of_them=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _reset(self, *, all_of_them: bool) -> None:
        for one in list(self._joined):
            if all_of_them or one.spoiled:
                one.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._weather.reset:
            _reset(writer)
            return
        try:
            answers, store = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        one = _Joined(writer, store)
        self._joined.add(one)
        carriers = [
            self._loop.create_task(self._carry(one, reader, store, "up")),
            self._loop.create_task(self._carry(one, answers, writer, "down")),
        ]
        self._tasks.update(carriers)
        try:
            await asyncio.wait(carriers)
        finally:
            self._tasks.difference_update(carriers)
            self._joined.discard(one)
            for end in (writer, store):
                end.close()

    async def _carry(
        self,
        one: _Joined,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        way: Literal["up", "down"],
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                await self._moving.wait()
                if way == "up" and self.requests is not None:
                    self.requests.append(piece)
                weather = self._weather
                if weather.lose == way:
                    one.spoiled = True
                    continue
                await self._delay(weather, len(piece))
                if way == "up" and self._drop is not None and all(part in piece for part in self._drop):
                    self._drop, one.losing = None, True
                if way == "down" and one.losing:
                    self.dropped += 1
                    one.reset()
                    return
                if way == "down" and weather.close_after is not None:
                    piece = piece[: max(0, weather.close_after - one.answered)]
                    one.answered += len(piece)
                sink.write(piece)
                await sink.drain()
                if way == "down" and weather.close_after is not None and one.answered >= weather.close_after:
                    break
        with contextlib.suppress(OSError):
            for end in (one.product, one.store):
                end.close()

    async def _delay(self, weather: Weather, size: int) -> None:
        if weather.bandwidth is not None:
            await asyncio.sleep(size / weather.bandwidth)
        if weather.latency:
            await asyncio.sleep(weather.latency)


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, as a host does that has forgotten the connection."""
    with contextlib.suppress(OSError):
        kept: socket.socket = writer.get_extra_info("socket")
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
