"""The agent process: some hosts (and perhaps the router) on one connection, until told to stop."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from domain.messages import HostId, Instant
from domain.meters import Board
from domain.orders import ROUTER
from domain.subjects import Subjects
from handlers.agent.behaviour import Behaviour
from handlers.agent.desk import Desk
from handlers.agent.fetch import Fetch, SimulatedFetch
from handlers.agent.host import HostCrew
from handlers.agent.ledger import Ledger, Open
from handlers.agent.link import Link
from handlers.agent.meters import Tally
from handlers.agent.neighbours import Neighbours
from handlers.agent.networks import Networks
from handlers.agent.pace import Pace, pace_at
from handlers.agent.peers import Peers
from handlers.agent.post import Post, always
from handlers.agent.records import Records, RecordsDamagedError, RecordsInUseError
from handlers.agent.router import Balancer, Names, RouterCrew
from handlers.agent.routes import Routes
from handlers.agent.runtime import Runtime
from handlers.agent.simulated import SimulatedRuntime
from handlers.agent.tenure import LostError, Tenure
from handlers.agent.ways import Ways
from handlers.agent.zone import SimulatedBalancer, SimulatedNames, ZoneFile
from handlers.bus import Address, connect

log = structlog.stdlib.get_logger(__name__)


Gates = Callable[[Routes], tuple[Names, Balancer]]
"""Makes the DNS and the balancer that a router speaks to, for its table of routes."""

LISTEN_DEFAULT = "127.0.0.1"
"""Where other hosts may ask this one whether it is cut off too."""

Kind = Callable[[Path, HostId], tuple[Runtime, Fetch]]
"""Makes what runs containers and what fetches applications, for a host with this folder."""


def now() -> Instant:
    return Instant(time.time_ns() // 1_000_000)


@dataclass(frozen=True)
class Site:
    """Where agents work: the bus, the folder of their ledgers, and how things behave there."""

    link: Link
    subjects: Subjects
    data: Path
    behaviour: Behaviour
    pace: Pace
    opened: Open = Records.open
    neighbours: Neighbours = field(default_factory=Neighbours)
    leased: bool = True
    kind: Kind | None = None
    tally: Tally = field(default_factory=Tally)
    underlay: str = ""
    """The router's address among the hosts; those of hosts are their runtimes'."""

    async def host(self, host: HostId) -> None:
        """Be the agent of a host, until cancelled; its containers are simulated, unless `kind`.

        Whenever the host was lost it begins anew, as another incarnation.
        """
        while True:
            try:
                await self._live(host)
            except* LostError:
                self.tally.lost += 1
                await log.awarning("agent.lost", host=host)

    async def _live(self, host: HostId) -> None:
        folder = self.data / host
        with contextlib.ExitStack() as files:
            ledger = Ledger.open(folder / "ledger", host, opened=self.opened)
            files.callback(ledger.close)
            runtime, fetch = (self.kind or self._simulated)(folder, host)
            files.callback(runtime.close)
            tenure = Tenure(ledger, runtime, self.link, self.subjects, self.neighbours)
            may_begin = tenure.holds if self.leased else always
            peers = Peers(self.link, self.subjects, self.pace)
            post = Post(ledger, runtime, peers, self.pace, may_begin=may_begin)
            crew = HostCrew(post, self.link, self.subjects, fetch)
            async with asyncio.TaskGroup() as tasks:
                await crew.answer(tasks)
                await Networks(host, runtime, self.link, self.subjects, self.pace).serve(tasks)
                if self.leased:
                    await tenure.begin()
                    tasks.create_task(tenure.run())
                await Desk(
                    ledger, crew, self.link, self.subjects, pace=self.pace, tally=self.tally
                ).run(now)

    def _simulated(self, folder: Path, host: HostId) -> tuple[Runtime, Fetch]:
        runtime = SimulatedRuntime(folder / "containers", host, self.behaviour, opened=self.opened)
        return runtime, SimulatedFetch(self.behaviour, host)

    async def router(self, gates: Gates | None = None) -> None:
        """Be the router until cancelled; without `gates` with simulated DNS and balancer."""
        folder = self.data / ROUTER
        with contextlib.ExitStack() as files:
            ledger = Ledger.open(folder / "ledger", ROUTER, opened=self.opened)
            files.callback(ledger.close)
            routes = Routes(folder / "routes", opened=self.opened)
            files.callback(routes.close)
            ways = Ways(self.underlay, routes)
            if gates is None:
                zone = ZoneFile(folder / "zone", ROUTER, self.behaviour, opened=self.opened)
                files.callback(zone.close)
                crew = RouterCrew(SimulatedNames(zone), SimulatedBalancer(zone), routes)
            else:
                crew = RouterCrew(*gates(routes), routes, ways=ways)
            async with asyncio.TaskGroup() as tasks:
                await Networks(ROUTER, ways, self.link, self.subjects, self.pace).serve(tasks)
                await Desk(
                    ledger, crew, self.link, self.subjects, pace=self.pace, tally=self.tally
                ).run(now)


async def run(  # noqa: PLR0913 - the settings of a process
    hosts: Sequence[str],
    *,
    url: Address | str,
    prefix: str,
    routing: bool,
    data: Path,
    behaviour: Behaviour,
    listen: str = LISTEN_DEFAULT,
    kind: Kind | None = None,
    gates: Gates | None = None,
    board: Board | None = None,
    underlay: str = "",
) -> None:
    """Serve these hosts until SIGTERM or SIGINT; their containers go on. `gates`: see `router`.

    `underlay`: see `Site`.

    Raises `BusUnavailableError`, `RecordsInUseError`, `RecordsDamagedError`.
    """
    async with (
        _stoppable() as stop,
        _connected(url, hosts) as link,
        Neighbours().serving(listen) as neighbours,
    ):
        pace = pace_at(behaviour.speed)
        subjects = Subjects(prefix)
        site = Site(
            link,
            subjects,
            data,
            behaviour,
            pace,
            neighbours=neighbours,
            kind=kind,
            underlay=underlay,
        )
        if board is not None:
            board.sources.append(site.tally.families)
        agents = [site.host(HostId(host)) for host in hosts]
        if routing:
            agents.append(site.router(gates))
        await log.ainfo("agent.serving", hosts=list(hosts), routing=routing, data=str(data))
        try:
            await _until(stop, agents)
        except ExceptionGroup as group:
            known = group.subgroup((RecordsInUseError, RecordsDamagedError))
            if known is None:
                raise
            raise known.exceptions[0] from None


async def _until(stop: asyncio.Event, agents: Sequence[Coroutine[None, None, None]]) -> None:
    """Run the agents until told to stop, or until one of them fails."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(agent) for agent in agents]
        await stop.wait()
        for task in running:
            task.cancel()


@contextlib.asynccontextmanager
async def _connected(url: Address | str, hosts: Sequence[str]) -> AsyncGenerator[Link]:
    bus = await connect(url, name=f"agent {' '.join(hosts)}")
    try:
        yield Link(bus)
    finally:
        await bus.close()


@contextlib.asynccontextmanager
async def _stoppable() -> AsyncGenerator[asyncio.Event]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
