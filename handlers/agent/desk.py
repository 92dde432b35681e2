"""The desk of an agent: orders come in, are judged and carried out; reports go out.

Nothing here depends on one message arriving: orders are sent again by the engine, reports by us,
until each is answered.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog
from opentelemetry.trace import SpanKind

from domain.agent import Begin, Hello, Receipt, Stale, Welcome, receive
from domain.memory import EpochSeen, ReportAcknowledged, ReportOwed
from domain.messages import AskId, HostId, Instant
from domain.orders import AnyReport, CallOff, Order, ReportOrder
from domain.subjects import Subjects
from handlers.agent.ledger import Ledger
from handlers.agent.link import Link
from handlers.agent.meters import Tally
from handlers.agent.pace import Pace
from handlers.bus import UNREADABLE
from handlers.traces import TRACER, headers_of

log = structlog.stdlib.get_logger(__name__)

_encoder = msgspec.json.Encoder()
_order_decoder = msgspec.json.Decoder(Order)
_welcome_decoder = msgspec.json.Decoder(Welcome)
_receipt_decoder = msgspec.json.Decoder(Receipt)


class Done(msgspec.Struct, frozen=True):
    """How an order came out; see `ReportOrder`."""

    done: bool
    detail: str = ""
    running: bool = True
    located: HostId | None = None
    freeze_ms: int = 0
    total_ms: int = 0
    cut: int = 0


class Crew(Protocol):
    """Those who carry orders out."""

    async def serve(self, tasks: asyncio.TaskGroup) -> None:
        """Begin what goes on besides orders, and return."""
        ...

    def may_begin(self) -> bool:
        """Say whether anything may be begun now; to call off always may."""
        ...

    async def carry_out(self, order: Order) -> Done:
        """Do it, once more if a crash interrupted it: it must not have its effect twice."""
        ...

    def settle(self, order: Order, done: Done) -> None:
        """Take note of an outcome at the moment it is written down."""
        ...


class Desk:
    """One agent's dealings with the engine."""

    def __init__(  # noqa: PLR0913 - all that it works with
        self,
        ledger: Ledger,
        crew: Crew,
        link: Link,
        subjects: Subjects,
        *,
        pace: Pace,
        tally: Tally | None = None,
    ) -> None:
        self._traces: dict[AskId, dict[str, str]] = {}
        self._tally = Tally() if tally is None else tally
        self._tally.ledgers[ledger.agent.host] = ledger
        self._ledger = ledger
        self._crew = crew
        self._link = link
        self._subjects = subjects
        self._pace = pace

    async def run(self, now: Callable[[], Instant]) -> None:
        """Serve until cancelled, first carrying on what a crash interrupted."""
        host = self._ledger.agent.host
        async with asyncio.TaskGroup() as tasks:
            await self._crew.serve(tasks)
            for order in self._ledger.agent.under_way.values():
                tasks.create_task(self._carry_out(order))

            async def heard(data: bytes) -> None:
                await self._hear(data, now())

            await self._link.listen(self._subjects.orders(host), heard, tasks)
            await self._link.settled()
            tasks.create_task(self._report())
            tasks.create_task(self._greet())

    async def _hear(self, data: bytes, now: Instant) -> None:
        try:
            order = _order_decoder.decode(data)
        except UNREADABLE as error:
            await log.awarning("agent.order-unreadable", error=str(error))
            return
        if not self._crew.may_begin() and not isinstance(order.work, CallOff):
            return  # it is sent again, and there may be a lease then
        entries, verdict = receive(self._ledger.agent, order, now)
        self._ledger.note(*entries)
        match verdict:
            case Begin():
                await self._carry_out(order)
            case Stale(newest=newest):
                self._tally.stale += 1
                await log.awarning("agent.order-stale", order=order.id, newest=newest)
            case _:
                pass

    async def _carry_out(self, order: Order) -> None:
        about = {"restow.order": order.id, "restow.host": self._ledger.agent.host}
        name = f"carry out {order.work.__struct_config__.tag}"
        with TRACER.start_as_current_span(name, kind=SpanKind.CONSUMER, attributes=about):
            done = await self._crew.carry_out(order)
            headers = headers_of()
        self._tally.orders["done" if done.done else "failed"] += 1
        report = ReportOrder(
            ask=AskId(f"{order.id}/r"),
            host=self._ledger.agent.host,
            order=order.id,
            **msgspec.structs.asdict(done),
        )
        if headers:
            self._traces[report.ask] = headers
        self._ledger.note(ReportOwed(report))
        self._crew.settle(order, done)

    async def _report(self) -> None:
        """Send what is owed, in order, each until it is acknowledged.

        A report that is answered but not acknowledged lets the next ones pass.
        """
        pauses = self._pace.pauses()
        passed: set[AskId] = set()
        while True:
            report = self._next_owed(passed)
            if report is None and not passed:
                await self._ledger.owing()
                continue
            receipt = None if report is None else await self._send(report)
            if report is not None and receipt is not None:
                passed.add(report.ask)
                if receipt.status == "ok":
                    passed.discard(report.ask)
                    self._traces.pop(report.ask, None)
                    self._ledger.note(ReportAcknowledged(report.ask))
                    pauses = self._pace.pauses()
                continue
            passed.clear()
            await asyncio.sleep(next(pauses))

    def _next_owed(self, passed: set[AskId]) -> AnyReport | None:
        owed = self._ledger.agent.owed.items()
        return next((report for ask, report in owed if ask not in passed), None)

    async def _send(self, report: AnyReport) -> Receipt | None:
        await self._ledger.sync()  # what is told may not be forgotten any more
        subject = self._subjects.reports(self._ledger.agent.host)
        data = await self._link.ask(
            subject,
            _encoder.encode(report),
            within_s=self._pace.ask_s,
            headers=self._traces.get(report.ask),
        )
        if data is None:
            return None
        try:
            receipt = _receipt_decoder.decode(data)
        except UNREADABLE:
            receipt = Receipt("unreadable")
        if receipt.status != "ok":
            await log.awarning("agent.report-refused", ask=report.ask, status=receipt.status)
        return receipt

    async def _greet(self) -> None:
        """Say hello: at the start, when the connection is back, and now and then."""
        pauses = self._pace.pauses()
        while True:
            if await self._hello():
                pauses = self._pace.pauses()
                await self._link.back(within_s=self._pace.hello_s)
            else:
                await asyncio.sleep(next(pauses))

    async def _hello(self) -> bool:
        agent = self._ledger.agent
        hello = Hello(agent.host, agent.incarnation, agent.epoch)
        subject = self._subjects.hello(agent.host)
        data = await self._link.ask(subject, _encoder.encode(hello), within_s=self._pace.ask_s)
        if data is None:
            return False
        try:
            welcome = _welcome_decoder.decode(data)
        except UNREADABLE:
            return False
        if welcome.epoch > self._ledger.agent.epoch:
            self._ledger.note(EpochSeen(welcome.epoch))
        return True
