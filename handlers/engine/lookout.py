"""The lookout: hears the hosts' beats, grants their leases, and asks what silence means.

Time is passed in; what is decided is in `domain.watch` and `domain.losing`. All of it is done one
after the other: while a decision is on its way into the journal nothing is granted, so nobody is
told of jurors or terms that may yet not be.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from itertools import count

import msgspec
import structlog

from domain.decider import Answered, Ask
from domain.fleet import Fleet
from domain.lease import Back, Beat, Readmitted
from domain.losing import arrives, belongs
from domain.loss import ReturnHost
from domain.messages import AskId, Code, Command, Refusal
from domain.subjects import Subjects
from domain.watch import Watch
from handlers.bus import UNREADABLE, Bus, Message, listen, silence
from handlers.clock import clock_ms
from handlers.doors.desk import DeskClosedError

log = structlog.stdlib.get_logger(__name__)

LOOK_PART = 20
"""The lookout looks so often within a lease."""
LOOK_MAX_S = 0.5
NOBODY = "nobody"
"""No host's name (`host.return` of it changes nothing): asked to prove that this engine leads."""

_encoder = msgspec.json.Encoder()
_beats = msgspec.json.Decoder(Beat)
_backs = msgspec.json.Decoder(Back)

AskOf = Callable[[Ask], asyncio.Future[Answered]]


class Lookout:
    """The eyes of one engine while it leads under `epoch`."""

    def __init__(
        self, bus: Bus, subjects: Subjects, fleet: Fleet, ask: AskOf, watch: Watch
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._fleet = fleet
        self._ask = ask
        self._watch = watch
        self._heard = asyncio.Queue[Message]()
        self._asked = count(1)
        self._since = time.time_ns()
        self._look_s = min(LOOK_MAX_S, watch.terms.lease_ms / 1_000 / LOOK_PART)

    async def run(self) -> None:
        """Look and answer, for ever. Ends when the desk closes."""
        ears = [
            await listen(self._bus, subject, self._heard.put)
            for subject in (self._subjects.beats_all, self._subjects.back_all)
        ]
        try:
            with contextlib.suppress(DeskClosedError):
                await self._watch_on()
        finally:
            for ear in ears:
                await silence(self._bus, ear)

    async def _watch_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            until_s = loop.time() + self._look_s
            while (message := await self._next(until_s)) is not None:
                await self._hear(message)
            await self._look()

    async def _next(self, until_s: float) -> Message | None:
        """Return the next message, None when it is time to look."""
        if asyncio.get_running_loop().time() >= until_s:
            return None
        try:
            async with asyncio.timeout_at(until_s):
                return await self._heard.get()
        except TimeoutError:
            return None

    async def _look(self) -> None:
        fleet, now = self._fleet, clock_ms()
        if not self._watch.watches(fleet):
            return
        concern = self._watch.concern(fleet, now)
        if concern is not None:
            if await self._decided(concern, "watch"):
                self._watch.decided()
            else:
                self._watch.ask_again()
        elif self._watch.unproven(fleet, now) and await self._decided(
            ReturnHost(host=NOBODY), "proof"
        ):
            self._watch.proven(now)

    async def _decided(self, command: Command, why: str) -> bool:
        """Ask, and return when the answer stands in the journal; False where there was no room."""
        name = AskId(f"{why} {self._since}.{next(self._asked)}")
        said = await self._ask(Ask(name, command, actor="watch"))
        return not (isinstance(said.answer, Refusal) and said.answer.code is Code.RATE_LIMITED)

    async def _hear(self, message: Message) -> None:
        host = message.subject.rpartition(".")[2]
        try:
            if message.subject == self._subjects.back(host):
                body = _encoder.encode(await self._readmit(_backs.decode(message.data), host))
            else:
                beat = _beats.decode(message.data)
                if beat.host != host:
                    return
                body = _encoder.encode(self._watch.hear(self._fleet, beat, clock_ms()))
        except UNREADABLE as error:
            log.warning("lookout.unreadable", subject=message.subject, error=str(error))
            return
        if message.reply and self._bus.is_connected:
            await self._bus.publish(message.reply, body)

    async def _readmit(self, back: Back, host: str) -> Readmitted:
        """Take a lost host in again, unless it is so already."""
        if back.host != host:
            return Readmitted(why=f"this is said by {host}")
        await self._decided(ReturnHost(host=host, term=back.term, runs=back.runs), f"back {host}")
        known = self._fleet.hosts.get(back.host)
        if known is None or known.lost:
            return Readmitted(why="lost still" if known else "unknown")
        log.info("lookout.back", host=host, term=known.term, runs=len(back.runs))
        there = belongs(self._fleet, known), arrives(self._fleet, known)
        return Readmitted(known.term, *there)
