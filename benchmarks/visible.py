"""From a command to its reader: how soon it can be read over HTTP, and what many listeners cost.

Server, engine, read side and client are processes of this machine. Each command scales a container
over the typed door; the client then reads that container, at least as new as the answer said.
"""

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from statistics import median

import msgspec
import psutil

from benchmarks.commands import CONTAINERS, furnish, process
from benchmarks.figures import Figure
from domain.contracts import Reply
from domain.subjects import Subjects
from handlers.bus import Bus, close, connect, request
from handlers.nats_server import ServerOptions, start
from projections.lines import ContainerLine

PREFIX = "bench"
OFFERED = 500
"""Commands a second."""
SECONDS = 10.0
WARM_S = 2.0
P50_GOAL_MS, P99_GOAL_MS = 10.0, 50.0
LISTENERS = 300
CHANGES = 20
"""A second, while there are listeners."""
CORE_GOAL = 0.6
WITHIN_S = 30.0
IDLE_S = 2.0
"""For so long a connection is used again. At 5 s the server ends it, and resets it where a request
is on its way just then: as any server does, so a client stays well below."""

_reply = msgspec.json.Decoder(Reply)
_line = msgspec.json.Decoder(ContainerLine)


class Region:
    """A region at work, and the port of its read API."""

    def __init__(self, bus: Bus, port: int, read_side: subprocess.Popen[bytes]) -> None:
        self._bus = bus
        self._scale = Subjects(PREFIX).service("container.scale")
        self._idle: list[tuple[float, Connection]] = []
        self._times = psutil.Process(read_side.pid).cpu_times
        self.port = port

    def spent(self) -> float:
        """Return how many seconds of processor the read side has used."""
        used = self._times()
        return float(used.user + used.system)

    async def scale(self, number: int) -> tuple[str, Reply]:
        """Give a container another size; return which, and the answer."""
        name, size = f"node{number % CONTAINERS + 1}", number // CONTAINERS % 2 + 1
        body = msgspec.json.encode({"container": name, "reserved": size})
        answer = await request(self._bus, self._scale, body, within_s=WITHIN_S)
        return name, _reply.decode(answer)

    async def see(self, name: str, reply: Reply) -> None:
        """Read a container as it was after an answer, or later."""
        connection = await self._connection()
        body = await connection.get(f"/v1/containers/{name}?min_position={reply.position}")
        self._idle.append((time.monotonic(), connection))
        if _line.decode(body).version < reply.version:
            raise RuntimeError(body.decode())

    async def _connection(self) -> "Connection":
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() < since + IDLE_S:
                return connection
            connection.writer.close()
        return await Connection.open(self.port)

    async def close(self) -> None:
        for _, connection in self._idle:
            connection.writer.close()


class Connection:
    """A connection to the read API."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def head(self, path: str) -> bytes:
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return await self.reader.readuntil(b"\r\n\r\n")

    async def get(self, path: str) -> bytes:
        head = await self.head(path)
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = await self.reader.readexactly(int(length))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body.decode())
        return body


async def run() -> list[Figure]:
    """Measure."""
    async with region() as at:
        numbers = count()
        await paced(OFFERED, WARM_S, lambda: at.scale(next(numbers)))
        answered, seen = await delays(at, numbers)
        idle = await cost(at, numbers)
        async with AsyncExitStack() as ears:
            heard = [await ears.enter_async_context(listener(at.port)) for _ in range(LISTENERS)]
            busy = await cost(at, numbers)
            least = min(one() for one in heard)
    return [
        Figure(
            f"from a command to what it did read over HTTP, {OFFERED} commands/s: p50, p99",
            f"{median(seen):.1f} ms, {p99(seen):.1f} ms",
            f"answered after {median(answered):.1f} ms, {p99(answered):.1f} ms",
            f"<= {P50_GOAL_MS:.0f} ms, <= {P99_GOAL_MS:.0f} ms",
            median(seen) <= P50_GOAL_MS and p99(seen) <= P99_GOAL_MS,
        ),
        Figure(
            f"{LISTENERS} listeners told {CHANGES} changes/s, processor of the read side",
            f"{busy:.0%} of a core (each told {least:,.0f} times)",
            f"without listeners {idle:.0%}",
            f"<= {CORE_GOAL:.0%} of a core",
            busy <= CORE_GOAL and least > 0,
        ),
    ]


def p99(times: list[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]


async def delays(at: Region, numbers: "count[int]") -> tuple[list[float], list[float]]:
    """Return after how many milliseconds commands were answered, and seen."""
    answered: list[float] = []
    seen: list[float] = []

    async def one() -> None:
        begun = time.perf_counter()
        said = await at.scale(next(numbers))
        answered.append((time.perf_counter() - begun) * 1_000)
        await at.see(*said)
        seen.append((time.perf_counter() - begun) * 1_000)

    await paced(OFFERED, SECONDS, one)
    return answered, seen


async def cost(at: Region, numbers: "count[int]") -> float:
    """Return how much of a core the read side uses while things change."""
    before, begun = at.spent(), time.perf_counter()
    await paced(CHANGES, SECONDS, lambda: at.scale(next(numbers)))
    return (at.spent() - before) / (time.perf_counter() - begun)


async def paced(rate: int, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
    """Do something so many times a second, however long each takes."""
    first = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            group.create_task(awaited(act))
            await asyncio.sleep(max(0.0, first + (number + 1) / rate - time.perf_counter()))


async def awaited(act: Callable[[], Awaitable[object]]) -> None:
    await act()


@asynccontextmanager
async def listener(port: int) -> AsyncGenerator[Callable[[], int]]:
    """Listen to all changes during the block; give what tells how often there were some."""
    connection = await Connection.open(port)
    await connection.head("/v1/changes")
    told = 0

    async def hear() -> None:
        nonlocal told
        while chunk := await connection.reader.read(65_536):
            told += chunk.count(b"event: change")

    hearing = asyncio.create_task(hear())
    try:
        yield lambda: told
    finally:
        hearing.cancel()
        connection.writer.close()


@asynccontextmanager
async def region() -> AsyncGenerator[Region]:
    """Run a region with some hosts and containers during the block."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await start(ServerOptions(folder / "nats"))
        stack.callback(server.stop)
        there = (f"--url={server.url}", f"--prefix={PREFIX}")
        stack.enter_context(
            process("restow", "engine", "--name=e1", f"--monitor={server.monitor}", *there)
        )
        bus = await connect(server.url, name="bench")
        stack.push_async_callback(close, bus)
        await furnish(bus, Subjects(PREFIX))
        port = free_port()
        where = (f"--http=127.0.0.1:{port}", f"--data={folder / 'reader'}")
        read_side = stack.enter_context(process("restow", "reader", *where, *there))
        found = Region(bus, port, read_side)
        stack.push_async_callback(found.close)
        await found.see(*await ready(found))
        yield found


async def ready(region: Region) -> tuple[str, Reply]:
    """Scale the first container once the read side answers; what it was is told."""
    give_up = time.monotonic() + WITHIN_S
    while True:
        try:
            connection = await Connection.open(region.port)
            await connection.get("/readyz")
        except (OSError, RuntimeError, asyncio.IncompleteReadError):
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.1)
        else:
            connection.writer.close()
            return await region.scale(0)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
