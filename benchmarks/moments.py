"""Moments of a long history: how soon any of them is reached, from the journal on its bus."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure
from benchmarks.fleets import AT, answer_all, furnished
from domain.decider import Ask, Commit
from domain.facts import Fact
from domain.messages import AskId
from domain.operation import ScaleNode
from domain.subjects import Subjects
from domain.wire import count_events
from handlers.bus import Bus, close, connect
from handlers.journal.reader import Head
from handlers.journal.stream import ensure
from handlers.journal.writer import Writer
from handlers.nats_server import ServerOptions, start
from projections.keyframes import Keyframes
from projections.moments import Moment
from projections.reaching import Framing, Reaching
from projections.reads import Reads
from projections.sqlite import SqliteStore
from projections.web.past import batch_of
from restow.frames import JournalFrames

EVENTS = 1_000_000
HOSTS = 1_000
ENVIRONMENTS = 1_600
EVENTS_A_FRAME = 40
MOMENTS = 60
GOAL_MS = 200.0
PREFIX = "bench"


async def run(events: int = EVENTS) -> list[Figure]:
    """Measure random positions; the limit beside it is the journal read from its first frame."""
    with TemporaryDirectory() as folder:
        server = await start(ServerOptions(Path(folder, "nats")))
        try:
            bus = await connect(server.url, name="bench")
            try:
                containers = await lived(bus, events)
                return await reached(bus, Keyframes(Path(folder, "keyframes")), containers)
            finally:
                await close(bus)
        finally:
            server.stop()


async def lived(bus: Bus, events: int) -> int:
    """Write a history of a fleet whose containers are scaled; return how many there are."""
    subjects = Subjects(PREFIX)
    await ensure(bus, subjects)
    writer = await Writer.take_over(bus, subjects, Head())
    region, commits = furnished(HOSTS, ENVIRONMENTS)
    group: list[Commit[Fact]] = []
    dice, names = Random(1), list(region.fleet.containers)
    while True:
        for commit in commits:
            group.append(commit)
            if count_events(group) >= EVENTS_A_FRAME:
                await writer.append(group)
                group = []
        if region.position >= events:
            break
        scale = ScaleNode(container=dice.choice(names), reserved=dice.randint(1, 8))
        ask = Ask(AskId(f"s{region.position}"), scale)
        commits = [region.decide(ask, max(region.at, AT)), *answer_all(region)]
    await writer.append(group or commits[:0])
    await writer.close()
    return len(names)


async def reached(bus: Bus, keyframes: Keyframes, containers: int) -> list[Figure]:
    frames = JournalFrames(bus, Subjects(PREFIX))
    end = await frames.end()
    begun = time.perf_counter()
    framing, reads = Framing(keyframes), Reads(events_max=0)
    async for _, frame in frames.follow(None):
        reads.take(frame)
        await framing.passed(reads, frame)
        if reads.position >= end:
            break
    made = time.perf_counter() - begun
    reaching = Reaching(frames, keyframes)
    begun = time.perf_counter()
    await reaching.whole(Moment(position=end), 0)
    whole = time.perf_counter() - begun
    took: list[float] = []
    dice = Random(2)
    for _ in range(MOMENTS):
        begun = time.perf_counter()
        found = await reaching.reach(Moment(position=dice.randint(1, end)))
        took.append((time.perf_counter() - begun) * 1_000)
    kept = keyframes.all()
    size = sum(one.path.stat().st_size for one in kept)
    what = f"any of {end:,} positions of {containers:,} containers reached"
    beside = f"from the first frame {whole * 1_000:,.0f} ms"
    return [
        Figure(
            f"{what}, the slowest of {MOMENTS}",
            f"{max(took):,.0f} ms (median {median(took):,.0f} ms)",
            beside,
            f"<= {GOAL_MS:.0f} ms",
            max(took) <= GOAL_MS,
        ),
        Figure(
            f"{len(kept)} keyframes made while the journal is read, {size / 1e6:,.0f} MB",
            f"{made:,.1f} s",
            f"read without {whole:,.1f} s",
        ),
        Figure(
            "views of one moment told for the read API",
            f"{timed(lambda path: write(found.reads, path)):,.0f} ms",
        ),
    ]


def timed(do: Callable[[Path], None]) -> float:
    with TemporaryDirectory() as folder:
        begun = time.perf_counter()
        do(Path(folder, "past.db"))
        return (time.perf_counter() - begun) * 1_000


def write(reads: Reads, path: Path) -> None:
    """Write the views of a moment, as the read API does."""
    with closing(SqliteStore(path)) as store:
        store.write(batch_of(reads))
