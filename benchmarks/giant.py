"""A region of 10,000 hosts and 1,000,000 containers: memory, cold start, takeover after kill -9.

The journal is empty and a checkpoint of the region is kept as of its first frame, so that what is
measured is what a large region costs, not how a journal is read (`replay.py` measures that).
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.crew import Pair, resident
from benchmarks.figures import Figure
from benchmarks.fleets import fleet_of
from domain.image import to_image
from domain.region import Region
from domain.subjects import Subjects
from handlers.bus import Bus, BusUnavailableError, Message, connect, listen, request
from handlers.engine.process import Status
from handlers.journal import checkpoints
from handlers.journal.reader import Head
from handlers.journal.stream import ensure
from handlers.journal.writer import Writer
from handlers.nats_server import Server, ServerOptions, start

HOSTS = 10_000
CONTAINERS_A_HOST = 100
PREFIX = "giant"
KILLS = 7
LISTEN_S = 0.5
BYTES_GOAL = 2.5 * 2**30
COLD_GOAL_S = 30.0
TAKEOVER_GOAL_S = 3.0
MEDIAN_GOAL_S = 1.0
PATIENCE_S = 240.0
HOST = {"memory_mib": 65_536, "cpu_mhz": 204_800, "disk_gib": 1_000}


def region_of() -> Region:
    """Return a region of this size, as if each container had a history."""
    region = Region()
    region.fleet = fleet_of(HOSTS, CONTAINERS_A_HOST)
    region.versions.update({f"container.{name}": 5 for name in region.fleet.containers})
    return region


async def keep(bus: Bus, subjects: Subjects, region: Region) -> int:
    """Keep a checkpoint of the region at the head of a new journal; return its bytes."""
    await ensure(bus, subjects)
    writer = await Writer.take_over(bus, subjects, Head())
    region.epoch = writer.head.epoch
    image = to_image(region)
    await checkpoints.save(bus, subjects, writer.head, image)
    await writer.close()
    return len(image)


async def answered(bus: Bus, subjects: Subjects, number: int) -> float:
    """Ask for a new host until that is answered; return when it was."""
    body = msgspec.json.encode({"host": f"new{number}", "id": f"new-{number}", **HOST})
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                answer = await request(bus, subjects.service("host.register"), body, within_s=0.2)
            except BusUnavailableError:
                await asyncio.sleep(0.02)
                continue
            if b'"retryable":true' not in answer:
                return time.perf_counter()


async def both_are_there(bus: Bus, subjects: Subjects) -> None:
    """Wait until one leads and the other follows."""
    async with asyncio.timeout(PATIENCE_S):
        while await roles(bus, subjects) != {"leader", "standby"}:  # noqa: ASYNC110 - of processes
            await asyncio.sleep(LISTEN_S)


async def roles(bus: Bus, subjects: Subjects) -> set[str]:
    """Return what the engines that answer say they are."""
    inbox = bus.new_inbox()
    heard: set[str] = set()

    async def hear(message: Message) -> None:
        heard.add(msgspec.json.decode(message.data, type=Status).role)

    listening = await listen(bus, inbox, hear)
    await bus.publish(subjects.status(), b"", inbox)
    await asyncio.sleep(LISTEN_S)
    await listening.unsubscribe()
    return heard


async def placed(bus: Bus, subjects: Subjects) -> float:
    """Return how long the first placement of a leader takes."""
    layer = {"name": "app", "count": 1, "limit": 1}
    body = msgspec.json.encode({"environment": "first", "layers": [layer]})
    begun = time.perf_counter()
    await request(bus, subjects.service("environment.create"), body, within_s=PATIENCE_S)
    return time.perf_counter() - begun


async def lived(server: Server, subjects: Subjects, bus: Bus) -> tuple[float, int, list[float]]:
    """Return how long the start took, the bytes held at most, and how long each takeover took."""
    begun = time.perf_counter()
    pair = Pair(server, PREFIX)
    try:
        cold = await answered(bus, subjects, 0) - begun
        took: list[float] = []
        held = 0
        for number in range(1, KILLS + 1):
            await both_are_there(bus, subjects)
            held = max(held, *(resident(pid) for pid in pair.pids))
            killed = time.perf_counter()
            await pair.kill_leader(bus, subjects)
            took.append(await answered(bus, subjects, number) - killed)
        await placed(bus, subjects)
        held = max(held, *(resident(pid) for pid in pair.pids))
    finally:
        pair.stop()
    return cold, held, took


async def run() -> list[Figure]:
    """Measure one region of this size."""
    region = region_of()
    subjects = Subjects(PREFIX)
    with tempfile.TemporaryDirectory() as folder:
        server = await start(ServerOptions(Path(folder)))
        bus = await connect(server.url, name="bench giant")
        try:
            size = await keep(bus, subjects, region)
            containers = len(region.fleet.containers)
            del region
            cold, held, took = await lived(server, subjects, bus)
        finally:
            await bus.close()
            server.stop()
    what = f"{HOSTS:,} hosts, {containers:,} containers"
    median = statistics.median(took)
    good = median <= MEDIAN_GOAL_S and max(took) <= TAKEOVER_GOAL_S
    return [
        Figure(
            f"{what}: resident memory of an engine",
            f"{held / 2**30:.2f} GiB",
            f"a checkpoint has {size / 2**20:,.0f} MiB",
            "<= 2.5 GiB",
            held <= BYTES_GOAL,
        ),
        Figure(
            f"{what}: two engines started at once, until a command is answered",
            f"{cold:.1f} s",
            goal=f"<= {COLD_GOAL_S:g} s",
            good=cold <= COLD_GOAL_S,
        ),
        Figure(
            f"{what}: kill -9 of the leader until the standby answers, {KILLS} times",
            f"median {median:.2f} s, longest {max(took):.2f} s",
            goal=f"<= {MEDIAN_GOAL_S:g} s, <= {TAKEOVER_GOAL_S:g} s",
            good=good,
        ),
    ]
