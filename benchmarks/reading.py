"""The read API asked over HTTP, beside a bare route; views in PostgreSQL, beside its COPY."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import asyncpg  # type: ignore[import-untyped]
import msgspec
from typing_extensions import override

from benchmarks.figures import Figure
from benchmarks.fleets import frames_of, history
from domain.wire import decode_frame
from projections.batches import Projector, len_of
from projections.rebuilding import BATCH_EVENTS
from projections.schemas import SchemaShelf
from tests.postgres import binaries, running

EVENTS_SERVED = 100_000
EVENTS_FOLDED = 1_000_000
EVENTS_A_FRAME = 20
REQUESTS = 20_000
CLIENTS = 16
"""Connections that ask one after another; enough that the server never waits."""
ONE_GOAL, PAGE_GOAL, FOLDED_GOAL = 8_000, 1_500, 20_000
LINE = b"x" * 400
"""About as large as the line of an event."""
WARM = 500


async def run(events: int = EVENTS_SERVED, folded: int = EVENTS_FOLDED) -> list[Figure]:
    """Measure."""
    figures = await asked(events)
    return [*figures, *(await in_postgresql(folded))] if binaries() else figures


async def asked(events: int) -> list[Figure]:
    """Measure requests a second of one container, and of a page of a hundred events."""
    async with site(events) as port:
        bare = await rate(port, "/bare")
        one = await rate(port, "/v1/containers/node7")
        page = await rate(port, "/v1/containers?limit=100", REQUESTS // 8)
    return [
        Figure(
            "GET of one container",
            f"{one:,.0f}/s",
            f"a bare Starlette route {bare:,.0f}/s ({one / bare:.0%})",
            f">= {ONE_GOAL:,}/s",
            one >= ONE_GOAL,
        ),
        Figure(
            "GET of a page of 100 containers",
            f"{page:,.0f}/s",
            f"a bare Starlette route {bare:,.0f}/s ({page / bare:.0%})",
            f">= {PAGE_GOAL:,}/s",
            page >= PAGE_GOAL,
        ),
    ]


@asynccontextmanager
async def site(events: int) -> AsyncGenerator[int]:
    """Serve a history of so many events in a process of its own; give its port."""
    with TemporaryDirectory() as folder:
        path = written(events, Path(folder, "frames"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.site", path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield await port_of(process.stdout)
        finally:
            process.kill()
            await process.wait()


def written(events: int, path: Path) -> str:
    """Write a history of so many events into a file."""
    path.write_bytes(msgspec.msgpack.encode(frames_of(history(events), EVENTS_A_FRAME)))
    return str(path)


async def port_of(said: asyncio.StreamReader | None) -> int:
    """Return the port that a site prints once it has caught up; there are lines of its log, too."""
    if said is None:
        message = "the site says nothing"
        raise RuntimeError(message)
    async for line in said:
        if line.strip().isdigit():
            return int(line)
    message = "the site has ended"
    raise RuntimeError(message)


async def rate(port: int, path: str, requests: int = REQUESTS) -> float:
    """Return how many requests a second are answered."""
    await asyncio.gather(*(ask(port, path, WARM // CLIENTS) for _ in range(CLIENTS)))
    begun = time.perf_counter()
    await asyncio.gather(*(ask(port, path, requests // CLIENTS) for _ in range(CLIENTS)))
    return requests / (time.perf_counter() - begun)


async def ask(port: int, path: str, times: int) -> None:
    """Ask one after another on one connection."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    await loop.create_connection(lambda: Asker(path, times, done), "127.0.0.1", port)
    await done


class Asker(asyncio.Protocol):
    """A client that costs little, so that it is the server that is measured."""

    def __init__(self, path: str, times: int, done: asyncio.Future[None]) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self._left = times
        self._done = done
        self._answer = b""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    @override
    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or self._transport is None:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._transport.abort()
            self._done.set_exception(RuntimeError(head.decode()))
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        self._answer = b""
        self._left -= 1
        if self._left:
            self._transport.write(self._request)
        else:
            self._transport.close()
            self._done.set_result(None)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("the server has closed"))


async def in_postgresql(events: int) -> list[Figure]:
    """Measure a rebuild; the limit beside it is a bare COPY of as large rows, as many at once."""
    frames = frames_of(history(events), EVENTS_A_FRAME)
    with running() as server:
        shelf = SchemaShelf(server.url, "bench")
        store = await shelf.store(1)
        projector, waiting = Projector(), iter(map(decode_frame, frames))
        begun = time.perf_counter()
        while batch := list(islice(waiting, BATCH_EVENTS // EVENTS_A_FRAME)):
            await store.write(projector.take(batch))
        took = time.perf_counter() - begun
        await store.close()
        bare = await copied(server.url)
    told = sum(len_of(decode_frame(frame)) for frame in frames)
    folded = told / took
    return [
        Figure(
            f"views of {told:,} events into PostgreSQL, {BATCH_EVENTS:,} events a transaction",
            f"{folded:,.0f} events/s",
            f"rows as large, by COPY and nothing else {bare:,.0f}/s ({folded / bare:.0%})",
            f">= {FOLDED_GOAL:,}/s",
            folded >= FOLDED_GOAL,
        )
    ]


async def copied(url: str, rows: int = 200_000) -> float:
    """Return how many rows a second PostgreSQL takes, one line and its number each."""
    db = await asyncpg.connect(url)
    await db.execute("CREATE TABLE bare (number BIGINT PRIMARY KEY, line BYTEA)")
    there = iter([(n, LINE) for n in range(rows)])
    begun = time.perf_counter()
    while batch := list(islice(there, BATCH_EVENTS)):
        await db.copy_records_to_table("bare", records=batch)
    took = time.perf_counter() - begun
    await db.close()
    return rows / took
