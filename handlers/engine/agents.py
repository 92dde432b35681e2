"""Reports in: what agents say arrives as asks; whoever says hello gets what it owes again."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from domain.agent import Hello, Receipt, Welcome
from domain.decider import Answered, Ask
from domain.messages import HostId, Refusal
from domain.orders import AnyReport
from domain.subjects import Subjects
from handlers.bus import UNREADABLE, Bus, Listening, Message, silence
from handlers.doors.desk import DeskClosedError
from handlers.engine.outbox import Outbox

log = structlog.stdlib.get_logger(__name__)

_encoder = msgspec.json.Encoder()
_reports = msgspec.json.Decoder(AnyReport)
_hellos = msgspec.json.Decoder(Hello)
ENGINES = "engines"

AskOf = Callable[[Ask], asyncio.Future[Answered]]


class Agents:
    """The engine's ear for agents; open it when active, close it when fenced."""

    def __init__(
        self, bus: Bus, subjects: Subjects, ask: AskOf, outbox: Outbox, epoch: int
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._ask = ask
        self._outbox = outbox
        self._welcome = _encoder.encode(Welcome(epoch))
        self._listening: list[Listening] = []

    async def open(self, group: asyncio.TaskGroup) -> None:
        """Listen for reports and hellos."""

        async def reported(message: Message) -> None:
            self._report(message, group)

        async def greeted(message: Message) -> None:
            group.create_task(self._greet(message))

        for subject, hear in (
            (self._subjects.reports_all, reported),
            (self._subjects.hello_all, greeted),
        ):
            listening = await self._bus.subscribe(  # pyright: ignore[reportUnknownMemberType]
                subject, ENGINES, cb=hear, pending_msgs_limit=0, pending_bytes_limit=0
            )
            self._listening.append(listening)

    async def close(self) -> None:
        for listening in self._listening:
            await silence(self._bus, listening)

    def _report(self, message: Message, group: asyncio.TaskGroup) -> None:
        try:
            report = _reports.decode(message.data)
        except UNREADABLE as error:
            log.warning("agents.unreadable", subject=message.subject, error=str(error))
            group.create_task(self._reply(message, Receipt(f"unreadable: {error}")))
            return
        if self._subjects.reports(report.host) != message.subject:
            group.create_task(self._reply(message, Receipt("a report of another host")))
            return
        told = self._ask(Ask(report.ask, report, actor=f"host:{report.host}"))
        told.add_done_callback(lambda told: self._reported(message, told, group))

    def _reported(
        self, message: Message, told: asyncio.Future[Answered], group: asyncio.TaskGroup
    ) -> None:
        """Acknowledge a report once it stands in the journal; a closed desk says nothing."""
        if told.cancelled() or isinstance(told.exception(), DeskClosedError):
            return
        answer = told.result().answer
        receipt = Receipt(answer.detail) if isinstance(answer, Refusal) else Receipt("ok")
        if isinstance(answer, Refusal):
            log.warning("agents.refused", subject=message.subject, why=answer.detail)
        group.create_task(self._reply(message, receipt))

    async def _reply(self, message: Message, receipt: Receipt) -> None:
        if message.reply and self._bus.is_connected:
            await self._bus.publish(message.reply, _encoder.encode(receipt))

    async def _greet(self, message: Message) -> None:
        try:
            hello = _hellos.decode(message.data)
        except UNREADABLE as error:
            log.warning("agents.unreadable", subject=message.subject, error=str(error))
            return
        if message.reply and self._bus.is_connected:
            await self._bus.publish(message.reply, self._welcome)
        await self._outbox.all_for(HostId(hello.host))
