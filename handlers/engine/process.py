"""The engine's process: standby, leader, and standby again, until told to stop."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Iterable

import msgspec
import structlog

from domain.image import to_image
from domain.region import Region
from domain.subjects import Subjects
from handlers.bus import (
    Address,
    Bus,
    BusClosedError,
    BusUnavailableError,
    Message,
    connect,
    listen,
    silence,
)
from handlers.engine.leader import Leader, StoppedError
from handlers.engine.standby import Standby
from handlers.journal import checkpoints
from handlers.journal.reader import Head
from handlers.journal.safety import Durability, suits, verify
from handlers.journal.stream import JetStreamError, UnsafeStreamError, ensure
from handlers.journal.writer import FencedError, WriterBrokenError

log = structlog.stdlib.get_logger(__name__)

CHECKPOINT_EVENTS = 50_000
"""A standby keeps a checkpoint whenever the journal has grown by this many events."""
CHECKPOINT_LOOK_S = 30.0
AGAIN_S = 1.0
OVER = (FencedError, BusUnavailableError, WriterBrokenError)
"""How leading ends without anything being wrong with this process: it starts again as a standby."""


class Status(msgspec.Struct, frozen=True):
    """What an engine says of itself on `<p>.eng.status`."""

    engine: str
    role: str
    epoch: int
    position: int
    leader: str
    durability: str
    reasons: tuple[str, ...] = ()


class Engine:
    """One engine of a region."""

    def __init__(self, bus: Bus, subjects: Subjects, name: str, durability: Durability) -> None:
        self._bus = bus
        self._subjects = subjects
        self._name = name
        self._durability = durability
        self._role = "catching up"
        self._standby = Standby(bus, subjects, name)
        self._kept = Head()

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
        try:
            await self._standby.catch_up()
            writer = None
            while writer is None:
                if not await self._until_its_turn(stop):
                    return
                writer = await self._standby.take_over()
            self._role = "leader"
            log.info("engine.leads", engine=self._name, epoch=writer.head.epoch)
            region = self._standby.region
            leader = Leader(self._bus, self._subjects, region, writer, self._name)
            await leader.lead(stop)
        except* StoppedError:
            log.info("engine.stopped", engine=self._name)
        except* OVER as over:
            log.warning("engine.over", engine=self._name, why=str(over.exceptions))
            if self._bus.is_closed:
                message = f"engine {self._name}: the connection is closed for good"
                raise BusClosedError(message) from over
            await asyncio.sleep(AGAIN_S)

    async def _until_its_turn(self, stop: asyncio.Event) -> bool:
        """Follow the journal until it is this engine's turn to lead; False if it is to stop."""
        self._role = "standby"
        turn = asyncio.create_task(self._standby.until_its_turn())
        stopped = asyncio.create_task(stop.wait())
        keeping = asyncio.create_task(self._keep_checkpoints())
        try:
            await asyncio.wait({turn, stopped, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (turn, stopped, keeping):
                if not task.done():
                    task.cancel()
            await asyncio.gather(turn, stopped, keeping, return_exceptions=True)
        if stop.is_set():
            return False
        for task in (turn, keeping):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        return True

    async def _keep_checkpoints(self) -> None:
        """Keep the standby's state now and then, so that a cold start is short."""
        while True:
            await asyncio.sleep(CHECKPOINT_LOOK_S)
            head, region = self._standby.head, self._standby.region
            if head.position - self._kept.position >= CHECKPOINT_EVENTS:
                await self._keep(head, region)

    async def _keep(self, head: Head, region: Region) -> None:
        """Keep a checkpoint; what stands in the way is no reason to stop standing by."""
        try:
            await checkpoints.save(self._bus, self._subjects, head, to_image(region))
        except (BusUnavailableError, JetStreamError, UnsafeStreamError) as error:
            log.warning("engine.checkpoint_failed", engine=self._name, why=str(error))
            return
        self._kept = head
        log.info("engine.checkpoint", engine=self._name, position=head.position)

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
        )
        if message.reply:
            await self._bus.publish(message.reply, msgspec.json.encode(status))


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
) -> None:
    """Run one engine until SIGTERM or SIGINT.

    Raises `UnsafeServerError` where the server may lose what it acknowledged (unless `relaxed`),
    `UnsafeStreamError`, `JournalDamagedError`, `BusUnavailableError` at the start.
    """
    subjects = Subjects(prefix)
    bus = await connect(url, name=f"restow engine {name}")
    try:
        suits(bus)
        await ensure(bus, subjects, replicas=replicas)
        durability = await verify(bus, subjects, monitors, relaxed=relaxed)
        if durability.reasons:
            log.warning("engine.relaxed", reasons=durability.reasons)
        async with stoppable() as stop:
            await Engine(bus, subjects, name, durability).run(stop)
    finally:
        await bus.close()
