"""The active engine: one writer, its desk, its doors, and everything that follows from events."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog
from uuid_utils import uuid7

from domain.decider import Commit
from domain.facts import Fact
from domain.lease import Terms
from domain.region import Region
from domain.subjects import Subjects
from domain.watch import Watch
from handlers import doors
from handlers.bus import Bus, Message, listen, silence
from handlers.clock import clock_ms
from handlers.engine import timers, usage
from handlers.engine.agents import Agents
from handlers.engine.clock import now
from handlers.engine.desk import Desk
from handlers.engine.lookout import Lookout
from handlers.engine.networks import Networks
from handlers.engine.outbox import Outbox
from handlers.engine.standby import BEAT_S, Beat
from handlers.engine.tally import Tally
from handlers.journal.writer import FencedError, Writer
from handlers.traces import Traces

log = structlog.stdlib.get_logger(__name__)


def new_id() -> str:
    """Return an id for an ask that came without one; ids grow with time."""
    return str(uuid7())


class StoppedError(Exception):
    """The process was told to stop; this engine leaves in good order."""


class Leader:
    """Leads until it is fenced, loses the bus for too long, or is told to stop.

    `terms`: how long leases last; set them before it leads.
    """

    def __init__(  # noqa: PLR0913 - all that it leads with
        self,
        bus: Bus,
        subjects: Subjects,
        region: Region,
        writer: Writer,
        name: str,
        *,
        tally: Tally | None = None,
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._writer = writer
        self._name = name
        self.terms = Terms()
        self.region = region
        tally, traces = tally or Tally(), Traces()
        self._outbox = Outbox(bus, subjects, region.fleet, region.epoch, (tally, traces))
        self._networks = Networks(bus, subjects, region.fleet, region.epoch)
        self.desk = Desk(region, writer.append, self._effects, now, tally=tally, traces=traces)
        writer.more = traces.of_frame

    async def _effects(self, commits: Sequence[Commit[Fact]]) -> None:
        self._networks.happened(commits)
        await self._outbox.issued(commits)

    async def lead(self, stop: asyncio.Event) -> None:
        """Lead. Raises `FencedError`, `BusUnavailableError`, `StoppedError` (in groups)."""
        agents = Agents(self._bus, self._subjects, self.desk.ask, self._outbox, self.region.epoch)
        watch = Watch(self.region.epoch, clock_ms(), self.terms)
        lookout = Lookout(self._bus, self._subjects, self.region.fleet, self.desk.ask, watch)
        followers = usage.Followers(self.region.fleet, self.desk.ask, now)
        fenced = False
        try:
            async with asyncio.TaskGroup() as group:
                for work in (
                    self.desk.run(),
                    self._outbox.run(),
                    self._networks.run(),
                    timers.run(self.region.fleet, self.desk.ask, now),
                    usage.run(self._bus, self._subjects, followers),
                    self._beat(),
                    self._be_here(),
                    self._outlived(),
                    agents.run(),
                    lookout.run(),
                ):
                    group.create_task(work)
                await agents.open()
                async with doors.serve(
                    self._bus, self._subjects, self.desk, new_id=new_id, now=now
                ):
                    await stop.wait()
                raise StoppedError
        except* FencedError:
            fenced = True
            raise
        finally:
            self.desk.close()
            await agents.close()
            if not fenced:  # else another one leads already, whom nobody is to replace
                await self._say(leaving=True)
            await self._writer.close()

    async def _outlived(self) -> None:
        """Raise `FencedError` when an engine of a later epoch is heard.

        The next frame would tell; but who was paused and has nothing to write would lead on.
        """
        heard = asyncio.get_running_loop().create_future()

        async def hear(message: Message) -> None:
            beat = msgspec.json.decode(message.data, type=Beat)
            if beat.epoch > self.region.epoch and not heard.done():
                heard.set_result(beat)

        listening = await listen(self._bus, self._subjects.leader, hear)
        try:
            beat: Beat = await heard
        finally:
            await silence(self._bus, listening)
        message = f"epoch {self.region.epoch} is over: {beat.engine} leads under {beat.epoch}"
        raise FencedError(message)

    async def _be_here(self) -> None:
        """Answer those that look whether anybody leads."""

        async def hear(message: Message) -> None:
            await message.respond(b"")

        listening = await listen(self._bus, self._subjects.here, hear)
        try:
            await asyncio.Event().wait()
        finally:
            await silence(self._bus, listening)

    async def _beat(self) -> None:
        while True:
            await self._say(leaving=False)
            await asyncio.sleep(BEAT_S)

    async def _say(self, *, leaving: bool) -> None:
        if self._bus.is_connected:
            beat = Beat(self._name, self.region.epoch, self.region.position, leaving)
            await self._bus.publish(self._subjects.leader, msgspec.json.encode(beat))
