"""How long a quiet tenant waits beside one that floods: with the usual limits, and with none."""

import asyncio
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.commands import PREFIX, patiently, process
from benchmarks.figures import Figure
from domain.subjects import Subjects
from domain.tenant import BURST_MAX, RATE_MAX
from handlers.bus import Bus, connect, request
from handlers.nats_server import Server, ServerOptions, start

SECONDS = 6.0
QUIET_RATE = 50
RATIO_GOAL = 10.0
FLOOR_MS = 5.0
"""An answer alone that is faster than this counts as this: below it is noise."""
DURABLE_BACKLOG = 2_000

COMMAND = b'{"operation":"op999"}'


async def run() -> list[Figure]:
    """Measure the p99 of a quiet tenant alone and beside a flood, through both doors."""
    with tempfile.TemporaryDirectory() as folder:
        server = await start(ServerOptions(Path(folder)))
        try:
            return await of_engine(server)
        finally:
            server.stop()


async def of_engine(server: Server) -> list[Figure]:
    arguments = ("restow", "engine", "--name=e1", f"--url={server.url}", f"--prefix={PREFIX}")
    with process(*arguments, f"--monitor={server.monitor}"):
        bus = await connect(server.url, name="bench quiet")
        subjects = Subjects(PREFIX)
        limit = subjects.service("tenant.limit")
        await patiently(bus, limit, {"tenant": "other", "rate": 1})
        alone = await quiet(bus, subjects)
        limited, asked = await beside(bus, subjects, server)
        lifted = {"tenant": "flood", "rate": RATE_MAX, "burst": BURST_MAX}
        await patiently(bus, limit, lifted)
        free, asked_free = await beside(bus, subjects, server)
        await patiently(bus, limit, {"tenant": "flood", "rate": 200, "burst": 1})
        late = await durable(bus, subjects)
        await bus.close()
    return [
        figure(f"beside a tenant that asks {asked} (usual limits)", limited, alone),
        figure(f"beside a tenant that asks {asked_free} (its limits lifted)", free, alone),
        Figure(
            f"durable door: outcome of a quiet tenant behind {DURABLE_BACKLOG:,} of another",
            f"{late * 1_000:.0f} ms",
            f"the other's last after {DURABLE_BACKLOG / 200:.0f} s at its 200 a second",
            "<= 1 s",
            late <= 1,
        ),
    ]


def figure(name: str, p99: float, alone: float) -> Figure:
    ratio = p99 / max(alone, FLOOR_MS)
    return Figure(
        f"p99 of a quiet tenant {name}",
        f"{p99:.1f} ms ({ratio:.1f} x)",
        f"alone {alone:.1f} ms, counted as at least {FLOOR_MS:.0f}",
        f"<= {RATIO_GOAL:.0f} x",
        ratio <= RATIO_GOAL,
    )


async def beside(bus: Bus, subjects: Subjects, server: Server) -> tuple[float, str]:
    """Return the quiet tenant's p99 in ms beside a flood, and what the flood was."""
    arguments = ("benchmarks.flood", server.url, "flood", str(SECONDS + 1.0))
    with process(*arguments) as child:
        await asyncio.to_thread(line_of, child)
        await asyncio.sleep(0.5)
        p99 = await quiet(bus, subjects)
        told = (await asyncio.to_thread(line_of, child)).split()
    rate, limited, own = map(int, told)
    return p99, f"{rate:,}/s, is turned away {limited:,}/s and waits {own:,} ms (p99) itself"


def line_of(child: subprocess.Popen[bytes]) -> bytes:
    """Return the next line that a process says."""
    return child.stdout.readline() if child.stdout else b""


async def quiet(bus: Bus, subjects: Subjects) -> float:
    """Ask at a slow and even rate; return the p99 in milliseconds."""
    subject, headers = subjects.service("operation.pause"), {"Restow-Tenant": "quiet"}
    took: list[float] = []

    async def one() -> None:
        begun = time.perf_counter()
        await request(bus, subject, COMMAND, within_s=30, headers=headers)
        took.append((time.perf_counter() - begun) * 1_000)

    async with asyncio.TaskGroup() as group:
        for _ in range(int(QUIET_RATE * SECONDS)):
            group.create_task(one())
            await asyncio.sleep(1 / QUIET_RATE)
    return sorted(took)[len(took) * 99 // 100]


async def durable(bus: Bus, subjects: Subjects) -> float:
    """Return how many seconds a quiet tenant's outcome takes behind another's backlog."""
    told = asyncio.Event()

    async def hear(_: object) -> None:
        told.set()

    await bus.subscribe(  # pyright: ignore[reportUnknownMemberType] -- of `future=`
        subjects.outcome("quiet", "q-1"), cb=hear
    )
    subject = subjects.durable("flood", "operation.pause")
    async with asyncio.TaskGroup() as group:
        for _ in range(DURABLE_BACKLOG):
            group.create_task(request(bus, subject, COMMAND, within_s=30))
    begun = time.perf_counter()
    body = msgspec.json.encode({"operation": "op999", "id": "q-1"})
    await request(bus, subjects.durable("quiet", "operation.pause"), body)
    async with asyncio.timeout(60):
        await told.wait()
    return time.perf_counter() - begun
