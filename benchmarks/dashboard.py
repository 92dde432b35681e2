"""The dashboard in a browser: frames a second while a large fleet changes and moves.

The page is the one that is shipped, fed by the read API of a region in memory: 1,200 hosts with 20
containers each, 500 changes a second, some moves that go on all the time. Beside it the same
browser shows an empty page of ours that counts its frames and does nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from shutil import which
from tempfile import TemporaryDirectory

from playwright.async_api import Page, async_playwright

from benchmarks.figures import Figure
from domain.container import (
    ContainerHealthChanged,
    ContainerPlaced,
    ContainerRouted,
    ContainerStarted,
    Placing,
)
from domain.contracts import Reply
from domain.decider import Commit, Frame, Recorded
from domain.environment import EnvironmentCreated, LayerAdded, LayerSpec
from domain.facts import Fact
from domain.host import HostRegistered
from domain.messages import (
    Accepted,
    AskId,
    Code,
    ContainerId,
    EnvironmentId,
    HostId,
    Instant,
    LayerName,
    MigrationId,
    OrderId,
    Refusal,
)
from domain.migration import MigrationGranted, MigrationRequested
from domain.problems import Problem, problem
from projections.feed import last_position
from projections.keeping import Keeping
from projections.keyframes import Keyframes
from projections.reaching import Reaching
from projections.shelf import FileShelf
from projections.web.app import About
from projections.web.openapi import encoded
from projections.web.serving import Web, listen

HOSTS, EACH, ZONES = 1_200, 20, 4
LAYER = 12
MOVES = 24
CHANGES = 500
"""A second."""
PACE_S = 0.1
SECONDS = 8.0
GOAL = 50
FACTS_A_FRAME = 400
NOON = Instant(1_700_000_000_000)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
SIZE = {"width": 1_440, "height": 900}
COUNT = """seconds => new Promise(done => {
  const times = [];
  const end = performance.now() + 1000 * seconds;
  requestAnimationFrame(function next(now) {
    times.push(now);
    if (performance.now() < end) requestAnimationFrame(next); else done(times);
  });
})"""


class Journal:
    """The frames of a region in memory: a `projections.feed.Frames`; a head is a count."""

    def __init__(self) -> None:
        self.frames: list[Frame[Fact]] = []
        self._versions: dict[str, int] = {}
        self._stirred = asyncio.Event()

    @property
    def position(self) -> int:
        return last_position(self.frames[-1]) if self.frames else 0

    def say(self, *facts: tuple[str, Fact]) -> None:
        """Write the next frame, of facts with the streams that they belong to."""
        recorded: list[Recorded[Fact]] = []
        for stream, fact in facts:
            self._versions[stream] = self._versions.get(stream, 0) + 1
            recorded.append(Recorded(stream, self._versions[stream], fact))
        number = len(self.frames)
        commit = Commit(
            AskId(f"a{number}"), "bench", "", NOON, Accepted(), tuple(recorded), "agent.health"
        )
        self.frames.append(Frame(1, 1, self.position + 1, b"", (commit,)))
        self._stirred.set()
        self._stirred = asyncio.Event()

    async def follow(self, after: int | None) -> AsyncGenerator[tuple[int, Frame[Fact]]]:
        place = after or 0
        while True:
            while place < len(self.frames):
                place += 1
                yield place, self.frames[place - 1]
            await self._stirred.wait()

    async def before(self, position: int) -> int | None:
        return sum(last_position(frame) <= position for frame in self.frames) or None

    async def end(self) -> int:
        return self.position


def host(number: int) -> HostId:
    return HostId(f"h{number:04}")


def fleet() -> Iterator[tuple[str, Fact]]:
    """Give the facts of a fleet of which everything is operable, and some is on its way."""
    for number in range(HOSTS):
        labels = {"zone": f"zone{number % ZONES + 1}"}
        yield (
            f"host.{host(number)}",
            HostRegistered(host(number), 64, 1_000, 8_192, 25_600, labels),
        )
    why = Placing("spread", HOSTS, HOSTS)
    for node in range(1, HOSTS * EACH + 1):
        home = EnvironmentId(f"e{(node - 1) // LAYER}")
        if (node - 1) % LAYER == 0:
            yield f"environment.{home}", EnvironmentCreated(home, "restow.internal")
            spec = LayerSpec(name="app")
            yield f"environment.{home}", LayerAdded(home, LayerName("app"), spec)
        one, where = ContainerId(f"node{node}"), host(node % HOSTS)
        stream = f"container.{one}"
        number = (node - 1) % LAYER + 1
        yield (
            stream,
            ContainerPlaced(
                one,
                home,
                LayerName("app"),
                number,
                where,
                1,
                2,
                1,
                f"{one}-{home}",
                "10.0.0.1",
                why,
            ),
        )
        yield stream, ContainerStarted(one)
        yield stream, ContainerHealthChanged(one, healthy=True)
        yield stream, ContainerRouted(one)
    yield from moves()


def moves() -> Iterator[tuple[str, Fact]]:
    for n in range(1, MOVES + 1):
        name, one = MigrationId(f"mv{n}"), ContainerId(f"node{n * 41}")
        source, target = host(n * 41 % HOSTS), host((n * 41 + 613) % HOSTS)
        stream, until = f"migration.{name}", Instant(NOON + 30_000)
        yield stream, MigrationRequested(name, one, source, target, 30_000, until)
        order = OrderId(f"or{n}")
        yield stream, MigrationGranted(name, one, source, target, order, until)


async def change(journal: Journal) -> None:
    """Let containers fall ill and recover, `CHANGES` a second, until cancelled."""
    dice, ill = Random(1), set[int]()
    clock = asyncio.get_running_loop().time
    due = clock()
    while True:
        facts: list[tuple[str, Fact]] = []
        for _ in range(round(CHANGES * PACE_S)):
            node = dice.randint(1, HOSTS * EACH)
            ill ^= {node}
            one = ContainerId(f"node{node}")
            healthy = node not in ill
            facts.append((f"container.{one}", ContainerHealthChanged(one, healthy=healthy)))
        journal.say(*facts)
        due += PACE_S
        await asyncio.sleep(max(0.0, due - clock()))


class Nobody:
    """Takes no commands."""

    async def __call__(self, name: str, body: bytes, headers: Mapping[str, str]) -> Reply | Problem:
        detail = f"nobody takes {name} here, {len(body)} bytes with {len(headers)} headers"
        return problem(Refusal(Code.BUS_UNAVAILABLE, detail))


@asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[tuple[Journal, str]]:
    """Serve the fleet's read API and its page during the block; give the address."""
    journal, shelf = Journal(), FileShelf(folder)
    facts = fleet()
    while some := list(islice(facts, FACTS_A_FRAME)):
        journal.say(*some)
    keeping, ready = Keeping(journal, shelf), asyncio.Event()
    last = journal.position
    keeping.told.append(lambda batch: ready.set() if batch.checkpoint.position >= last else None)
    listening = listen("127.0.0.1", 0)
    reaching = Reaching(journal, Keyframes(folder / "keyframes"))
    web = Web(keeping, reaching, Nobody(), About({"prefix": "bench"}, encoded()))
    async with shelf.writing():
        tasks = [asyncio.create_task(keeping.run()), asyncio.create_task(web.run(listening))]
        try:
            await ready.wait()
            yield journal, f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Seen:
    """The frames of some seconds."""

    def __init__(self, times: list[float]) -> None:
        gaps = sorted(after - before for before, after in pairwise(times))
        self.rate = 1_000 * len(gaps) / (times[-1] - times[0])
        self.p95_ms = gaps[int(len(gaps) * 0.95)]


async def counted(page: Page) -> Seen:
    return Seen(await page.evaluate(COUNT, SECONDS))


async def measured(journal: Journal, url: str) -> tuple[Seen, Seen, int]:
    """Return the frames of an empty page, those of the map, and the events that it was told."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=which("chromium"), args=FLAGS)
        page = await browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        await page.goto(f"{url}/livez")
        alone = await counted(page)
        await page.goto(f"{url}/#/fleet")
        await page.locator("[data-status=live]").wait_for(timeout=60_000)
        changing = asyncio.create_task(change(journal))
        await page.wait_for_timeout(2_000)
        before = await position(page)
        busy = await counted(page)
        told = await position(page) - before
        changing.cancel()
        await browser.close()
    return alone, busy, told


async def position(page: Page) -> int:
    return int((await page.locator(".figures b").inner_text()).replace(",", ""))


async def run() -> list[Figure]:
    """Measure; nothing where there is no browser."""
    if which("chromium") is None:
        return [Figure("the dashboard's map", "not measured", "no chromium here")]
    with TemporaryDirectory() as folder:
        async with served(Path(folder)) as (journal, url):
            alone, busy, told = await measured(journal, url)
    what = f"the dashboard's map, {HOSTS:,} hosts, {HOSTS * EACH:,} containers, {MOVES} moves"
    return [
        Figure(
            f"{what}, told {told / SECONDS:,.0f} changes/s",
            f"{busy.rate:.1f} frames/s (p95 {busy.p95_ms:.0f} ms a frame)",
            f"an empty page {alone.rate:.1f} ({busy.rate / alone.rate:.0%})",
            f">= {GOAL}/s",
            busy.rate >= GOAL,
        )
    ]


if __name__ == "__main__":
    for figure in asyncio.run(run()):
        print(figure)  # noqa: T201 - it is run to be read
