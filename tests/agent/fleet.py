"""A small fleet of real agents on a real bus, with a stand-in for the engine.

Agents can be killed at any line they write (`Fuse`), and started again from what was written.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import msgspec

from domain.agent import Hello, Usage, Welcome
from domain.lease import Beat, Grant
from domain.messages import ContainerId, HostId, Instant, MigrationId, OrderId
from domain.orders import (
    AnyReport,
    AnyWork,
    MigrateOut,
    Order,
    ReportHealth,
    ReportOrder,
    ReportPhase,
    Start,
)
from domain.subjects import Subjects
from handlers.agent.behaviour import Behaviour
from handlers.agent.link import Link
from handlers.agent.pace import Pace
from handlers.agent.process import Kind, Site, now
from handlers.agent.records import Records
from handlers.agent.runtime import State
from handlers.agent.simulated import Ended, Life, Lived
from handlers.bus import Bus, Message, connect, flush

H1, H2 = HostId("h01"), HostId("h02")
WEB = ContainerId("node1")
MV1 = MigrationId("mv1")

PATIENCE_S = 20.0
FAST = Behaviour(speed=200.0)
PACE = Pace(
    hello_s=0.2,
    probe_s=0.02,
    usage_s=0.1,
    ask_s=0.3,
    doubt_s=0.2,
    retry_min_s=0.02,
    retry_max_s=0.1,
)
START = Start("web-1", "nginx:1.29", 4, 8, 10, "10.0.0.1")


def move(target: HostId = H2, *, deadline_ms: int = 20_000) -> MigrateOut:
    return MigrateOut(MV1, target, deadline_ms, 4, 8, 10)


class Killed(BaseException):
    """The agent died here."""


class Fuse:
    """Blows at the n-th line that an agent writes (0: never): before it, or just after it."""

    def __init__(self, line: int = 0, *, before: bool = False) -> None:
        self.line = line
        self.before = before
        self.blown = False


class Truth:
    """Every simulated container, seen from outside as it changes: at most one copy may run."""

    def __init__(self) -> None:
        self.lives: dict[tuple[str, ContainerId], Life] = {}

    def changed(self, host: str, change: Lived | Ended) -> None:
        if isinstance(change, Lived):
            self.lives[host, change.life.spec.container] = change.life
        else:
            self.lives.pop((host, change.container), None)
        states = Counter((name, life.state) for (_, name), life in self.lives.items())
        assert states[WEB, "running"] <= 1, self.lives

    def hosts(self, state: State) -> list[str]:
        return [host for (host, _), life in self.lives.items() if life.state == state]


class Watched(Records):
    """A file whose writer is watched, and dies when the fuse blows."""

    truth: Truth
    fuse: Fuse

    def append(self, data: bytes) -> None:
        self.fuse.line -= 1
        dies = self.fuse.line == 0
        if self.fuse.blown or (dies and self.fuse.before):
            self.fuse.blown = True
            raise Killed
        super().append(data)
        if self.path.name == "containers":
            change = msgspec.msgpack.decode(data, type=Lived | Ended)
            self.truth.changed(self.path.parent.name, change)
        if dies:
            self.fuse.blown = True
            raise Killed


class Fleet:
    """The engine's side: orders go out until they are answered, reports are acknowledged."""

    def __init__(self, bus: Bus, subjects: Subjects, url: str, data: Path) -> None:
        self.bus = bus
        self.subjects = subjects
        self.url = url
        self.data = data
        self.reports: list[AnyReport] = []
        self.heard: Counter[str] = Counter()
        self.hellos: list[Hello] = []
        self.usages: list[Usage] = []
        self.outstanding: dict[OrderId, Order] = {}
        self.epoch = 1
        self.deaf = False
        self.grants = True
        self.truth = Truth()
        self.running: dict[HostId, asyncio.Task[None]] = {}
        self.kind: Kind | None = None

    async def listen(self) -> None:
        await self.bus.subscribe(self.subjects.reports_all, cb=self._on_report)
        await self.bus.subscribe(self.subjects.hello_all, cb=self._on_hello)
        await self.bus.subscribe(self.subjects.usage("*"), cb=self._on_usage)
        await self.bus.subscribe(self.subjects.beats_all, cb=self._on_beat)
        await flush(self.bus)

    async def _on_report(self, message: Message) -> None:
        if self.deaf:
            return
        report: AnyReport = msgspec.json.decode(message.data, type=AnyReport)
        self.heard[report.ask] += 1
        if self.heard[report.ask] == 1:
            self.reports.append(report)
        if isinstance(report, ReportOrder):
            self.outstanding.pop(report.order, None)
        await message.respond(b'{"status":"ok"}')

    async def _on_hello(self, message: Message) -> None:
        hello = msgspec.json.decode(message.data, type=Hello)
        self.hellos.append(hello)
        await message.respond(msgspec.json.encode(Welcome(self.epoch)))
        for order in self.outstanding.values():
            if order.to == hello.host:
                await self.send(order)

    async def _on_beat(self, message: Message) -> None:
        if not self.grants:
            return
        beat = msgspec.json.decode(message.data, type=Beat)
        grant = Grant(self.epoch, now(), beat.term, beat.number, beat.echo)
        await message.respond(msgspec.json.encode(grant))

    async def _on_usage(self, message: Message) -> None:
        self.usages.append(msgspec.json.decode(message.data, type=Usage))

    async def send(self, order: Order) -> None:
        await self.bus.publish(self.subjects.orders(order.to), msgspec.json.encode(order))

    async def order(self, name: str, to: HostId, work: AnyWork) -> None:
        """Issue an order; it is sent again at every hello, until answered."""
        expires = Instant(now() + 60_000)
        order = Order(OrderId(name), to, WEB, work, expires=expires, epoch=self.epoch)
        self.outstanding[order.id] = order
        await self.send(order)

    async def answer(self, name: str) -> ReportOrder:
        await self.until(lambda: self.answers(name) != [])
        return self.answers(name)[0]

    def answers(self, name: str) -> list[ReportOrder]:
        reports = (r for r in self.reports if isinstance(r, ReportOrder))
        return [report for report in reports if report.order == name]

    async def done(self, name: str, to: HostId, work: AnyWork) -> ReportOrder:
        await self.order(name, to, work)
        return await self.answer(name)

    def health(self) -> list[ReportHealth]:
        return [report for report in self.reports if isinstance(report, ReportHealth)]

    def phases(self) -> list[str]:
        return [report.phase for report in self.reports if isinstance(report, ReportPhase)]

    async def until(self, so: Callable[[], object]) -> None:
        """Wait until it is so; fail where that takes too long."""
        async with asyncio.timeout(PATIENCE_S):
            while not so():
                await asyncio.sleep(0.005)

    async def agent(
        self,
        host: HostId,
        behaviour: Behaviour = FAST,
        *,
        fuse: Fuse | None = None,
    ) -> None:
        """Start the agent of a host, on a connection of its own."""

        def opened(path: Path) -> tuple[Records, list[bytes]]:
            records, written = Watched.open(path)
            assert isinstance(records, Watched)
            records.truth, records.fuse = self.truth, fuse or Fuse()
            return records, written

        async def live() -> None:
            bus = await connect(self.url, name=host)
            site = Site(
                Link(bus),
                self.subjects,
                self.data,
                behaviour,
                PACE,
                opened,
                leased=False,
                kind=self.kind,
            )
            try:
                await (site.router() if host == "routing" else site.host(host))
            except* Killed:
                pass
            finally:
                await bus.close()

        if host in self.running:
            self.running[host].result()
        greeted = self._greetings(host)
        task = self.running[host] = asyncio.create_task(live())
        await self.until(lambda: self._greetings(host) > greeted or task.done())

    def _greetings(self, host: HostId) -> int:
        """Return how many agents of a host have said hello, each of them as often as it likes."""
        return len({hello.incarnation for hello in self.hellos if hello.host == host})

    async def kill(self, host: HostId) -> None:
        """Kill an agent wherever it is."""
        task = self.running.pop(host)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def fleet_of(*hosts: HostId, bus: Bus, url: str, data: Path) -> AsyncIterator[Fleet]:
    """Return a fleet with these agents running; all of them are stopped at the end."""
    fleet = Fleet(bus, Subjects(f"t{uuid4().hex[:12]}"), url, data)
    await fleet.listen()
    for host in hosts:
        await fleet.agent(host)
    yield fleet
    for host in tuple(fleet.running):
        await fleet.kill(host)
