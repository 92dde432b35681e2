"""The durable door: commands kept by a stream until they are answered, answers kept by another.

Tenants are served side by side, each in its order. Whoever must wait waits in the stream; nothing
is taken out of it before its outcome stands in RES.
"""

import asyncio
from contextlib import suppress

import structlog

from domain.messages import Tenant
from handlers.bus import BusClosedError, BusUnavailableError, Listening, Message, flush, silence
from handlers.doors.desk import DeskClosedError, Doorway
from handlers.doors.excess import Excess
from handlers.doors.kept import Backlog, Kept
from handlers.doors.lane import Lane
from handlers.doors.service import STOP_S
from handlers.journal.stream import JetStreamError, api

log = structlog.stdlib.get_logger(__name__)

LANES_MAX = 1_024
"""Tenants that are served at a time; the others take their places."""
LOOK_S = 0.005
"""How soon the stream is looked at again after something came; then later and later."""
LOOK_MAX_S = 1.0
"""How often the stream is looked at when nothing was heard."""
LISTEN_FROM_S = 0.04
"""From this pause on somebody listens for what comes; before, it is looked for anyway."""
REST_MIN_S = 0.02
"""How long a tenant rests at least whose rate is used up."""
CONSUMER_BEFORE = "engine"
"""What versions before 0.2 read the stream with; it would hold back what they had begun."""
NO_CONSUMER = 10014


class _Tenant:
    """What is going on for one tenant that has commands in the stream."""

    def __init__(self, doorway: Doorway, kept: Kept, name: Tenant, suspect_seq: int) -> None:
        self.lane = Lane(doorway, kept, name, suspect_seq)
        self.excess = Excess(doorway, kept, self.lane, name)
        self.serving: asyncio.Task[None] | None = None
        self.refusing: asyncio.Task[None] | None = None
        self.rests_until = 0.0

    @property
    def idle(self) -> bool:
        return self.serving is None and self.refusing is None


class DurableDoor:
    """Takes commands from CMD, asks the desk, stores outcomes in RES. Open once, close once."""

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self._kept = Kept(doorway.bus, doorway.subjects)
        self._tenants: dict[Tenant, _Tenant] = {}
        self._heard = asyncio.Event()
        self._listening: Listening | None = None
        self._looking: asyncio.Task[None] | None = None
        self._suspect_seq = 0

    async def open(self, group: asyncio.TaskGroup) -> None:
        """Begin to take commands. Raises `JetStreamError` where there is no stream CMD."""
        try:
            await api(self._doorway.bus, f"CONSUMER.DELETE.{self._kept.stream}.{CONSUMER_BEFORE}")
        except JetStreamError as error:
            if error.error.err_code != NO_CONSUMER:
                raise
        self._suspect_seq = (await self._kept.backlog()).last_seq
        self._looking = group.create_task(self._look_for_ever(group))

    async def close(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        if self._looking is not None:
            self._looking.cancel()
        at_work = [
            task
            for one in self._tenants.values()
            for task in (one.serving, one.refusing)
            if task is not None
        ]
        for one in self._tenants.values():
            one.lane.stop()
        if at_work:
            await asyncio.wait(at_work, timeout=STOP_S)
        for task in at_work:
            task.cancel()
        if self._listening is not None:
            with suppress(BusUnavailableError):
                await silence(self._doorway.bus, self._listening)

    async def _look_for_ever(self, group: asyncio.TaskGroup) -> None:
        """Look who has commands kept, soon after something came, and now and then anyway."""
        pause = LOOK_S
        while True:
            self._heard.clear()
            try:
                if pause >= LISTEN_FROM_S:
                    await self._listen()
                self._serve(await self._kept.backlog(), group)
            except BusClosedError:
                raise
            except (BusUnavailableError, JetStreamError) as error:
                await log.awarning("door.no_commands", error=str(error))
            pause = LOOK_S if await self._stirred(pause) else min(2 * pause, LOOK_MAX_S)

    async def _stirred(self, pause: float) -> bool:
        """Wait; say whether something was heard before the time was over."""
        resting = min((one.rests_until for one in self._tenants.values()), default=0.0)
        now = asyncio.get_running_loop().time()
        wait_s = min(pause, max(LOOK_S, resting - now)) if resting else pause
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._heard.wait()
        await asyncio.sleep(LOOK_S)
        return self._heard.is_set()

    async def _listen(self) -> None:
        """Be told of the next command that is published, and of that one only."""
        if self._listening is not None:
            return

        async def hear(_: Message) -> None:
            self._listening = None
            self._heard.set()

        self._listening = await self._doorway.bus.subscribe(  # pyright: ignore[reportUnknownMemberType] -- of `future=`
            self._doorway.subjects.durable_all, cb=hear, max_msgs=1
        )
        await flush(self._doorway.bus)

    def _serve(self, backlog: Backlog, group: asyncio.TaskGroup) -> None:
        """Let everybody go on who has commands kept, and may."""
        now = asyncio.get_running_loop().time()
        gone = [
            name
            for name, one in self._tenants.items()
            if one.idle and name not in backlog.waiting and one.rests_until <= now
        ]
        for name in gone:
            del self._tenants[name]
        for name, count in backlog.waiting.items():
            if name not in self._tenants and not self._has_place():
                continue
            one = self._tenants.get(name)
            if one is None:
                one = _Tenant(self._doorway, self._kept, name, self._suspect_seq)
                self._tenants[name] = one
            if one.serving is None and one.rests_until <= now:
                one.serving = group.create_task(self._serve_one(one, group))
            self._refuse_excess(name, one, count, backlog.last_seq, group)

    def _has_place(self) -> bool:
        """Say whether one more tenant can be served; one that rests gives up its place."""
        if len(self._tenants) < LANES_MAX:
            return True
        resting = next((name for name, one in self._tenants.items() if one.idle), None)
        if resting is not None:
            del self._tenants[resting]
        return resting is not None

    def _refuse_excess(
        self, name: Tenant, one: _Tenant, count: int, last_seq: int, group: asyncio.TaskGroup
    ) -> None:
        most = self._doorway.desk.kept_max(name)
        if count <= most:
            one.excess.first = 0
        elif one.excess.first == 0:
            one.excess.first = last_seq + 1
        elif one.refusing is None:
            one.refusing = group.create_task(self._refuse(one, count, most))

    async def _serve_one(self, one: _Tenant, group: asyncio.TaskGroup) -> None:
        again_s = 0.0
        try:
            again_s = await one.lane.run(group) / 1_000
        except DeskClosedError:
            again_s = LOOK_MAX_S
        except BusClosedError:
            raise
        except (BusUnavailableError, JetStreamError) as error:
            await log.awarning("door.no_commands", error=str(error))
            again_s = LOOK_MAX_S
        finally:
            one.serving = None
        if again_s:
            one.rests_until = asyncio.get_running_loop().time() + max(again_s, REST_MIN_S)
        self._heard.set()

    async def _refuse(self, one: _Tenant, count: int, most: int) -> None:
        try:
            await one.excess.run(count, most)
        except BusClosedError:
            raise
        except (BusUnavailableError, JetStreamError) as error:
            await log.awarning("door.no_commands", error=str(error))
        finally:
            one.refusing = None
