"""Commands accepted, journaled with sync always, and answered, from one client process."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.echo import CALL
from benchmarks.figures import Figure
from benchmarks.fleets import history
from benchmarks.library import commits_per_second
from domain.container import ContainerScaled
from domain.subjects import Subjects
from domain.wire import encode_commit
from handlers.bus import Bus, BusUnavailableError, connect, request
from handlers.nats_server import Server, ServerOptions, start

IN_FLIGHT = 256
SECONDS = 8.0
GOAL = 5_000
GOAL_SHARE = 0.6
OFFERED = 1_000
P99_GOAL_MS = 20.0
LIBRARY_GOAL = 5.0
PREFIX = "bench"
CONTAINERS = 48

Call = Callable[[int], Awaitable[object]]


@contextmanager
def process(*arguments: str) -> Generator[subprocess.Popen[bytes]]:
    """Run one of our own modules beside us."""
    child = subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        child.terminate()
        child.wait(10)


async def run() -> list[Figure]:
    """Measure the engine, the bare limit and the library, one after the other."""
    commits = history(20_000)
    scaled = [c for c in commits if any(type(e.fact) is ContainerScaled for e in c.events)]
    size = sum(len(encode_commit(c)) for c in scaled) // len(scaled)
    with tempfile.TemporaryDirectory() as folder:
        server = await start(ServerOptions(Path(folder)))
        try:
            engine, p99 = await of_engine(server)
            bare = await of_echo(server, size)
        finally:
            server.stop()
    library = commits_per_second(scaled[:4_000])
    return [
        Figure(
            f"commands journaled and answered, {IN_FLIGHT} in flight",
            f"{engine:,.0f}/s",
            f"bare echo with appends of the same {size} bytes {bare:,.0f}/s ({engine / bare:.0%})",
            f">= {GOAL:,}/s and >= {GOAL_SHARE:.0%}",
            engine >= GOAL and engine >= GOAL_SHARE * bare,
        ),
        Figure(
            f"p99 of an answer at {OFFERED:,} commands/s offered",
            f"{p99:.1f} ms",
            goal=f"<= {P99_GOAL_MS:.0f} ms",
            good=p99 <= P99_GOAL_MS,
        ),
        Figure(
            "against `eventsourcing` with its SQLite recorder, same events",
            f"{engine / library:.1f} x",
            f"{library:,.0f} commits/s",
            f">= {LIBRARY_GOAL:.0f} x",
            engine >= LIBRARY_GOAL * library,
        ),
    ]


async def of_engine(server: Server) -> tuple[float, float]:
    """Return commands per second with a full window, and the p99 in ms at a fixed rate."""
    monitor = f"--monitor={server.monitor}"
    arguments = ("restow", "engine", "--name=e1", f"--url={server.url}", f"--prefix={PREFIX}")
    with process(*arguments, monitor):
        bus = await connect(server.url, name="bench")
        subjects = Subjects(PREFIX)
        await furnish(bus, subjects)
        scale = subjects.service("container.scale")

        async def call(number: int) -> object:
            # Every command changes something: each container goes up and down by one.
            body = b'{"container":"node%d","reserved":%d}'
            turn = number // CONTAINERS
            return await request(
                bus, scale, body % (number % CONTAINERS + 1, turn % 2 + 1), within_s=10
            )

        rate = await full(call)
        p99 = await offered(call)
        await bus.close()
    return rate, p99


async def furnish(bus: Bus, subjects: Subjects) -> None:
    """Register hosts and create containers for the commands to be about."""
    host = {"memory_mib": 65_536, "cpu_mhz": 204_800, "disk_gib": 1_000}
    for n in range(12):
        await patiently(bus, subjects.service("host.register"), {"host": f"h{n:02}", **host})
    for n in range(CONTAINERS // 6):
        layer = {"name": "app", "count": 6, "limit": 8}
        body = {"environment": f"e{n}", "layers": [layer]}
        await patiently(bus, subjects.service("environment.create"), body)


async def patiently(bus: Bus, subject: str, body: object) -> None:
    """Ask until the engine is there."""
    for _ in range(200):
        try:
            answer = await request(bus, subject, msgspec.json.encode(body))
        except BusUnavailableError:
            await asyncio.sleep(0.1)
            continue
        if b'"code"' in answer:
            raise RuntimeError(answer.decode())
        return
    message = f"nobody answers on {subject}"
    raise RuntimeError(message)


async def of_echo(server: Server, size: int) -> float:
    with process("benchmarks.echo", server.url, str(size)) as child:
        await asyncio.to_thread(lambda: child.stdout.readline() if child.stdout else b"")
        bus = await connect(server.url, name="bench")

        async def call(number: int) -> object:
            body = b'{"container":"node%d","reserved":%d}' % (number % CONTAINERS + 1, number % 4)
            return await request(bus, CALL, body, within_s=10)

        rate = await full(call)
        await bus.close()
    return rate


async def full(call: Call) -> float:
    """Keep `IN_FLIGHT` calls in flight for a while; return calls per second."""
    begun = time.perf_counter()
    until = begun + SECONDS
    count = 0

    async def one() -> None:
        nonlocal count
        while time.perf_counter() < until:
            count += 1
            await call(count)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(one())
    return count / (time.perf_counter() - begun)


async def offered(call: Call) -> float:
    """Offer calls at a fixed rate, whatever the answers do; return the p99 in milliseconds."""
    took: list[float] = []

    async def one(number: int) -> None:
        begun = time.perf_counter()
        await call(number)
        took.append((time.perf_counter() - begun) * 1_000)

    first = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(OFFERED * SECONDS)):
            group.create_task(one(number))
            ahead = first + number / OFFERED - time.perf_counter()
            if ahead > 0:
                await asyncio.sleep(ahead)
    return sorted(took)[len(took) * 99 // 100]
