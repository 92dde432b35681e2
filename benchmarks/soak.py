"""A region under load for a long time, with a fault every 20 s: nothing lost, nothing twice.

`python -m benchmarks.soak [--minutes M]`: 80 % of the peak that is measured first, offered evenly;
in turn the leader is killed, the leader is paused, and the server is killed.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from itertools import count, cycle
from pathlib import Path

import msgspec

from benchmarks.commands import CONTAINERS, PREFIX, furnish
from benchmarks.crew import Pair
from benchmarks.figures import Figure, machine, table
from domain.subjects import Subjects
from handlers.bus import Bus, BusUnavailableError, connect, request
from handlers.journal.reader import Head, read
from handlers.nats_server import Server, ServerOptions, start

MINUTES = 1.0
SHARE = 0.8
PEAK_S = 4.0
PEAK_IN_FLIGHT = 256
FAULT_EVERY_S = 20.0
PAUSE_S = 3.0
WAITING_MAX = 2_000
"""Commands that may wait for an answer; while so many do, none is offered."""
WITHIN_S = 2.0
AGAIN_S = 0.2
BYTES_GOAL = 2_048
"""What an engine may keep of a command: its answer is remembered for 24 h."""
STILL_GOAL_S = 10.0


class Load:
    """Commands under way: each has an id and is asked under it until it has its answer."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._scale = subjects.service("container.scale")
        self._numbers = count()
        self.answered: set[str] = set()
        self.took: list[float] = []
        self.waiting = 0
        self.still_s = 0.0
        self._last = time.perf_counter()

    async def one(self) -> None:
        """Ask for something that changes something, until it is answered."""
        number = next(self._numbers)
        name = f"soak-{number}"
        reserved = number // CONTAINERS % 2 + 1
        container = f"node{number % CONTAINERS + 1}"
        body = msgspec.json.encode({"container": container, "reserved": reserved, "id": name})
        begun = time.perf_counter()
        while not await self._asked(body):  # noqa: ASYNC110 - nobody tells when it is up again
            await asyncio.sleep(AGAIN_S)
        now = time.perf_counter()
        self.answered.add(name)
        self.took.append(now - begun)
        self.still_s = max(self.still_s, now - self._last)
        self._last = now

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self.waiting -= 1

    async def _asked(self, body: bytes) -> bool:
        try:
            answer = await request(self._bus, self._scale, body, within_s=WITHIN_S)
        except BusUnavailableError:
            return False
        return b'"retryable":true' not in answer

    async def full(self, seconds: float) -> float:
        """Ask as much as is answered; return commands a second."""
        until, before = time.perf_counter() + seconds, len(self.answered)

        async def ask() -> None:
            while time.perf_counter() < until:
                await self.one()

        async with asyncio.TaskGroup() as group:
            for _ in range(PEAK_IN_FLIGHT):
                group.create_task(ask())
        return (len(self.answered) - before) / seconds

    async def even(self, rate: float, seconds: float) -> int:
        """Offer commands at a rate, and wait for all of them; return how many."""
        self.took.clear()
        begun, offered = time.perf_counter(), 0
        self._last = begun
        async with asyncio.TaskGroup() as group:
            while (now := time.perf_counter() - begun) < seconds:
                if self.waiting < WAITING_MAX and offered < now * rate:
                    # counted before it has its turn: else this would never give way to anybody
                    self.waiting += 1
                    group.create_task(self.one()).add_done_callback(self._ended)
                    offered += 1
                else:
                    await asyncio.sleep(1 / rate)
        return offered


async def faults(pair: Pair, server: Server, subjects: Subjects, bus: Bus) -> None:
    """Do harm every 20 s, for ever."""
    for harm in cycle(("leader killed", "leader paused", "server killed")):
        await asyncio.sleep(FAULT_EVERY_S)
        sys.stderr.write(f"  {harm}\n")
        pair.faults += 1
        if harm == "server killed":
            server.kill()
            await server.restart()
        elif harm == "leader killed":
            await pair.kill_leader(bus, subjects)
        else:
            name = await pair.leader(bus, subjects)
            pair.tell(name, signal.SIGSTOP)
            await asyncio.sleep(PAUSE_S)
            pair.tell(name, signal.SIGCONT)


async def soak(minutes: float) -> list[Figure]:
    """Run it all and return what was seen."""
    with tempfile.TemporaryDirectory() as folder:
        server = await start(ServerOptions(Path(folder)))
        pair = Pair(server, PREFIX)
        try:
            bus = await connect(server.url, name="soak")
            figures = await of_region(bus, Subjects(PREFIX), (pair, server), minutes * 60)
            await bus.close()
        finally:
            pair.stop()
            server.stop()
    return figures


async def of_region(
    bus: Bus, subjects: Subjects, runs: tuple[Pair, Server], seconds: float
) -> list[Figure]:
    pair, server = runs
    await furnish(bus, subjects)
    load = Load(bus, subjects)
    peak = await load.full(PEAK_S)
    sys.stderr.write(f"  peak {peak:,.0f}/s\n")
    harm = asyncio.create_task(faults(pair, server, subjects, bus))
    watching = asyncio.create_task(pair.watch())
    offered = await load.even(SHARE * peak, seconds)
    for task in (harm, watching):
        task.cancel()
    await asyncio.gather(harm, watching, return_exceptions=True)
    seen: list[str] = []
    async for _, frame in read(bus, subjects, Head()):
        seen.extend(commit.ask for commit in frame.commits if commit.ask.startswith("soak-"))
    lost, twice = len(load.answered - set(seen)), len(seen) - len(set(seen))
    p99 = sorted(load.took)[len(load.took) * 99 // 100] * 1_000
    kept = pair.growth / max(1, len(seen))
    return [
        Figure(
            f"{seconds / 60:g} min at {SHARE:.0%} of {peak:,.0f}/s, {pair.faults} faults:"
            " commands answered",
            f"{len(load.took):,} of {offered:,}",
            f"lost {lost}, twice {twice}",
            "all, none lost, none twice",
            (len(load.took), lost, twice) == (offered, 0, 0),
        ),
        Figure(
            "longest time without any answer",
            f"{load.still_s:.1f} s",
            f"p99 of an answer over it all {p99:,.0f} ms",
            f"<= {STILL_GOAL_S:.0f} s",
            load.still_s <= STILL_GOAL_S,
        ),
        Figure(
            "memory that an engine gains for a command (whose answer it remembers)",
            f"{kept:,.0f} bytes",
            f"{pair.growth / 1_048_576:,.0f} MiB at most by one engine, {len(seen):,} commands",
            f"<= {BYTES_GOAL:,} bytes",
            kept <= BYTES_GOAL,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    figures = asyncio.run(soak(parser.parse_args().minutes))
    sys.stdout.write(f"{table(figures)}\n\n{machine()}.\n")
    sys.exit(not all(figure.good for figure in figures))


if __name__ == "__main__":
    main()
