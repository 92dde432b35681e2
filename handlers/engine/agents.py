"""Reports in: what agents say arrives as asks; whoever says hello gets what it owes again.

Agents are heard in callbacks, which come even while the engine ends; what is to be said to them
is queued and said by `run`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import structlog

from domain.agent import Hello, Receipt, Welcome
from domain.decider import Answered, Ask
from domain.messages import AskId, Code, HostId, Refusal
from domain.orders import AnyReport
from domain.subjects import Subjects
from handlers.bus import UNREADABLE, Bus, Listening, Message, silence
from handlers.doors.desk import DeskClosedError
from handlers.engine.outbox import Outbox
from handlers.traces import carried

log = structlog.stdlib.get_logger(__name__)

_encoder = msgspec.json.Encoder()
_reports = msgspec.json.Decoder(AnyReport)
_hellos = msgspec.json.Decoder(Hello)
ENGINES = "engines"

AskOf = Callable[[Ask], asyncio.Future[Answered]]


class Agents:
    """The engine's ear for agents, and its voice; open it when active, close it when fenced."""

    def __init__(
        self, bus: Bus, subjects: Subjects, ask: AskOf, outbox: Outbox, epoch: int
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._ask = ask
        self._outbox = outbox
        self._welcome = _encoder.encode(Welcome(epoch))
        self._listening: list[Listening] = []
        self._to_say = asyncio.Queue[Callable[[], Awaitable[None]]]()

    async def open(self) -> None:
        """Listen for reports and hellos."""
        for subject, hear in (
            (self._subjects.reports_all, self._report),
            (self._subjects.hello_all, self._greeted),
        ):
            listening = await self._bus.subscribe(  # pyright: ignore[reportUnknownMemberType]
                subject, ENGINES, cb=hear, pending_msgs_limit=0, pending_bytes_limit=0
            )
            self._listening.append(listening)

    async def run(self) -> None:
        """Say what is to be said, one after the other, for ever."""
        while True:
            say = await self._to_say.get()
            await say()

    async def close(self) -> None:
        for listening in self._listening:
            await silence(self._bus, listening)

    async def _report(self, message: Message) -> None:
        try:
            report = _reports.decode(message.data)
        except UNREADABLE as error:
            log.warning("agents.unreadable", subject=message.subject, error=str(error))
            self._answer(message, f"unreadable: {error}")
            return
        if self._subjects.reports(report.host) != message.subject:
            self._answer(message, "a report of another host")
            return
        # The blank keeps the name apart from those of clients, the host's from other hosts'.
        name = AskId(f"{report.host} {report.ask}")
        with carried(message.headers):
            told = self._ask(Ask(name, report, actor=f"host:{report.host}"))
        told.add_done_callback(partial(self._reported, message))

    def _reported(self, message: Message, told: asyncio.Future[Answered]) -> None:
        """Acknowledge a report once it stands in the journal.

        A closed desk says nothing, nor does one without room: the agent sends it again.
        """
        if told.cancelled() or isinstance(told.exception(), DeskClosedError):
            return
        answer = told.result().answer
        if isinstance(answer, Refusal) and answer.code is Code.RATE_LIMITED:
            return
        if isinstance(answer, Refusal):
            log.warning("agents.refused", subject=message.subject, why=answer.detail)
        self._answer(message, answer.detail if isinstance(answer, Refusal) else "ok")

    def _answer(self, message: Message, status: str) -> None:
        body = _encoder.encode(Receipt(status))
        self._to_say.put_nowait(partial(self._reply, message, body))

    async def _reply(self, message: Message, body: bytes) -> None:
        if message.reply and self._bus.is_connected:
            await self._bus.publish(message.reply, body)

    async def _greeted(self, message: Message) -> None:
        self._to_say.put_nowait(partial(self._greet, message))

    async def _greet(self, message: Message) -> None:
        try:
            hello = _hellos.decode(message.data)
        except UNREADABLE as error:
            log.warning("agents.unreadable", subject=message.subject, error=str(error))
            return
        await self._reply(message, self._welcome)
        await self._outbox.all_for(HostId(hello.host))
