"""The engine's process: standby, leader, and standby again, until told to stop."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
import structlog

from domain.lease import Terms
from domain.meters import Board, Family
from domain.subjects import Subjects
from handlers.bus import (
    Address,
    Bus,
    BusClosedError,
    BusUnavailableError,
    Message,
    as_address,
    connect,
    listen,
    silence,
)
from handlers.engine import meters
from handlers.engine.clock import now
from handlers.engine.keeper import LEADER_EVENTS, STANDBY_EVENTS, Errand, Keeper
from handlers.engine.leader import Leader, StoppedError
from handlers.engine.standby import Standby
from handlers.engine.tally import Tally
from handlers.journal.safety import Durability, on_time, suits, verify
from handlers.journal.stream import ensure
from handlers.journal.writer import FencedError, Writer, WriterBrokenError

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

AGAIN_S = 1.0
OVER = (FencedError, BusUnavailableError, WriterBrokenError)
"""How leading ends without anything being wrong with this process: it starts again as a standby."""


class Status(msgspec.Struct, frozen=True):
    """What an engine says of itself on `<p>.eng.status`.

    Of a leader: `waiting` asks are to be decided, `turned_away` commands met a limit.
    """

    engine: str
    role: str
    epoch: int
    position: int
    leader: str
    durability: str
    reasons: tuple[str, ...] = ()
    waiting: int = 0
    turned_away: int = 0


class Engine:
    """One engine of a region. `terms`: how long leases last; set them before it runs."""

    def __init__(
        self, bus: Bus, subjects: Subjects, name: str, durability: Durability, keeper: Keeper
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._name = name
        self._durability = durability
        self._keeper = keeper
        self.terms = Terms()
        self._role = "catching up"
        self._standby = Standby(bus, subjects, name)
        self._leader: Leader | None = None
        self._tally = Tally()

    async def run(self, stop: asyncio.Event) -> None:
        """Be standby and leader in turn until `stop` is set.

        Raises `JournalDamagedError`, and `BusClosedError` when the connection is closed for good.
        """
        listening = await listen(self._bus, self._subjects.status(), self._tell)
        try:
            while not stop.is_set():
                await self._turn(stop)
        finally:
            await silence(self._bus, listening)

    async def _turn(self, stop: asyncio.Event) -> None:
        """One life: catch up, wait, lead, and drop all state."""
        self._role = "catching up"
        self._standby = Standby(self._bus, self._subjects, self._name)
        if self._leader is not None:  # it holds all that it knew: not beside what is read anew
            self._leader = None
            gc.collect()
        keep = self._keeper.run
        try:
            writer = await first_of(
                self._come_to_lead(), stop.wait(), keep(self._position, STANDBY_EVENTS)
            )
            if writer is None:
                return
            self._role = "leader"
            log.info("engine.leads", engine=self._name, epoch=writer.head.epoch)
            region = self._standby.region
            self._tally.elections += 1
            leader = Leader(
                self._bus, self._subjects, region, writer, self._name, tally=self._tally
            )
            leader.terms = self.terms
            self._leader = leader
            await first_of(leader.lead(stop), keep(self._position, LEADER_EVENTS))
        except* StoppedError:
            log.info("engine.stopped", engine=self._name)
        except* OVER as over:
            log.warning("engine.over", engine=self._name, why=str(over.exceptions))
            if self._bus.is_closed:
                message = f"engine {self._name}: the connection is closed for good"
                raise BusClosedError(message) from over
            await first_of(asyncio.sleep(AGAIN_S), stop.wait())

    async def _come_to_lead(self) -> Writer:
        """Catch up, and follow the journal until it is this engine's turn to lead."""
        await self._standby.catch_up()
        self._role = "standby"
        while True:
            await self._standby.until_its_turn()
            writer = await self._standby.take_over()
            if writer is not None:
                return writer

    def _position(self) -> int:
        return self._standby.region.position

    def families(self) -> Iterator[Family]:
        """Yield what this engine counts, and what it knows."""
        leads = self._role == "leader"
        yield meters.LEADS.of(leads)
        yield meters.SAFE.of(not self._durability.reasons)
        yield meters.WAITING.of(self._leader.desk.waiting if leads and self._leader else 0)
        yield from meters.counted(self._tally)
        yield from meters.known(self._standby.region)

    async def _tell(self, message: Message) -> None:
        region = self._standby.region
        leads = self._role == "leader"
        status = Status(
            self._name,
            self._role,
            region.epoch,
            region.position,
            self._name if leads else self._standby.leader,
            self._durability.name,
            self._durability.reasons,
            self._leader.desk.waiting if leads and self._leader else 0,
            self._leader.desk.turned_away if leads and self._leader else 0,
        )
        if message.reply:
            await self._bus.publish(message.reply, msgspec.json.encode(status))


async def first_of(work: Coroutine[Any, Any, T], *others: Coroutine[Any, Any, object]) -> T | None:
    """Return what `work` comes to; None where another ended before it.

    Whoever is late is cancelled. Raises what any of them raised.
    """
    working = asyncio.create_task(work)
    beside = [asyncio.create_task(other) for other in others]
    tasks: list[asyncio.Task[Any]] = [working, *beside]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in beside:
        if not task.cancelled():
            task.result()
    return None if working.cancelled() else working.result()


@contextlib.asynccontextmanager
async def stoppable() -> AsyncGenerator[asyncio.Event]:
    """Turn SIGTERM and SIGINT into an event."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def run(  # noqa: PLR0913 - the settings of a process
    *,
    name: str,
    url: Address | str,
    prefix: str,
    relaxed: bool = False,
    monitors: Iterable[str] = (),
    replicas: int = 1,
    terms: Terms | None = None,
    board: Board | None = None,
) -> None:
    """Run one engine until SIGTERM or SIGINT.

    Raises `UnsafeServerError` where the server may lose what it acknowledged (unless `relaxed`)
    or where our clocks differ,
    `UnsafeStreamError`, `JournalDamagedError`, `BusUnavailableError` at the start.
    """
    subjects = Subjects(prefix)
    bus = await connect(url, name=f"restow engine {name}")
    try:
        suits(bus)
        await ensure(bus, subjects, replicas=replicas)
        await on_time(bus, subjects, now())
        durability = await verify(bus, subjects, monitors, relaxed=relaxed)
        if durability.reasons:
            log.warning("engine.relaxed", reasons=durability.reasons)
        async with stoppable() as stop:
            keeper = Keeper(bus, Errand(as_address(url), prefix, replicas))
            engine = Engine(bus, subjects, name, durability, keeper)
            engine.terms = terms or Terms()
            if board is not None:
                board.sources.append(engine.families)
            await engine.run(stop)
    finally:
        await bus.close()
