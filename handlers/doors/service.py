"""A NATS service (ADR-32): found by `nats service list`, answering many at once, losing none.

nats-py's own answers one request at a time, tells askers what went wrong inside, and forgets
those that wait when it stops. Here requests are begun in their tenant's order, tenants in turns,
answered when their answers are there, and `close` returns when all that came were answered.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count
from time import perf_counter_ns
from typing import Any

import msgspec
import structlog

from domain.contracts import within_bus
from domain.messages import Code, Refusal, Tenant
from domain.problems import Problem, header_text, problem
from handlers.bus import (
    Bus,
    BusClosedError,
    BusUnavailableError,
    Listening,
    Message,
    fits,
    flush,
    send,
)
from handlers.doors.decode import TENANT, internal, plain_headers
from handlers.doors.turns import Line

log = structlog.stdlib.get_logger(__name__)

IN_FLIGHT_MAX = 65_536
"""Requests that are being answered at a time; one more is told `rate.limited`. Who asks too much
is told so by the desk, long before."""
ARRIVED_MAX = 65_536
"""Requests that may wait to be begun."""
TOGETHER_MAX = 16
"""Requests that are begun, or answers sent, before it is looked what else has come."""
FULL_S = 0.01
"""How often it is looked for room."""
STOP_S = 10.0
"""How long a service that stops waits for its last answers."""
QUEUE = "q"
"""The queue group: of several engines' services, one gets a request."""

PROBLEM_TYPE = "application/problem+json"
JSON_TYPE = "application/json"


class Endpoint(msgspec.Struct, frozen=True):
    """Something that can be asked, as discovery shows it."""

    name: str
    subject: str
    metadata: Mapping[str, str]
    queue_group: str = QUEUE


class Card(msgspec.Struct, frozen=True):
    """What a service says of itself. `listens` are the subjects that it hears, wildcards too."""

    id: str
    name: str
    version: str
    description: str
    endpoints: tuple[Endpoint, ...]
    listens: tuple[str, ...]
    metadata: Mapping[str, str] = {}


class Response(msgspec.Struct, frozen=True):
    """What an asker is told; `error` is what the statistics and the headers say of a problem."""

    body: bytes
    headers: dict[str, str] | None = None
    error: str = ""


class Pending(msgspec.Struct, frozen=True):
    """A response that is made from a future when that is done."""

    future: asyncio.Future[Any]
    respond: Callable[[asyncio.Future[Any]], Response]


Handle = Callable[[Message], Response | Pending]


class Statistics(msgspec.Struct):
    """What happened at one endpoint."""

    num_requests: int = 0
    num_errors: int = 0
    last_error: str = ""
    processing_time: int = 0


class _Begun(msgspec.Struct, frozen=True):
    """A request that is being answered."""

    message: Message
    started_ns: int
    respond: Callable[[], Response]


_encoder = msgspec.json.Encoder()


async def drained(bus: Bus, listening: Listening) -> None:
    """Stop listening once everything is heard that the server has sent already."""
    if not bus.is_closed:
        drain: Callable[[], Awaitable[None]] = listening.drain
        await drain()


def tenant_of(message: Message) -> Tenant:
    """Return who says to be asking: enough for a place in the queue."""
    return Tenant(plain_headers(message.headers).get(TENANT, ""))


def refused(told: Problem) -> Response:
    """Return a problem as a response, with the headers of ADR-32."""
    error = header_text(told)
    headers = {
        "Nats-Service-Error": error,
        "Nats-Service-Error-Code": str(told.status),
        "Content-Type": PROBLEM_TYPE,
    }
    return Response(_encoder.encode(within_bus(told)), headers, error)


class Service:
    """Answers requests with `handle`. An unexpected exception is answered `internal` and raised.

    Open it once in a task group, close it once.
    """

    def __init__(self, bus: Bus, card: Card, handle: Handle, new_id: Callable[[], str]) -> None:
        self._bus = bus
        self._card = card
        self._handle = handle
        self._new_id = new_id
        self._started = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._statistics = {endpoint.subject: Statistics() for endpoint in card.endpoints}
        self._ours = ("$", *(f"{subject.partition('.')[0]}." for subject in card.listens))
        self._arrived: Line[Message] = Line()
        self._answered: Line[_Begun] = Line()
        self._in_flight: set[asyncio.Future[Any]] = set()
        self._asked: list[Listening] = []
        self._found: list[Listening] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, group: asyncio.TaskGroup) -> None:
        """Be there: listen, and be found."""
        self._tasks = [group.create_task(self._begin_all()), group.create_task(self._send_all())]
        for subject in self._card.listens:
            self._asked.append(await self._subscribe(subject, QUEUE, self._arrive))
        name, by_id = self._card.name, f"{self._card.name}.{self._card.id}"
        for verb, say in (("PING", self.ping), ("INFO", self.info), ("STATS", self.stats)):
            for subject in (f"$SRV.{verb}", f"$SRV.{verb}.{name}", f"$SRV.{verb}.{by_id}"):
                self._found.append(await self._subscribe(subject, "", partial(self._show, say)))
        await flush(self._bus)

    async def _subscribe(self, subject: str, queue: str, hear: Callable[..., Any]) -> Listening:
        return await self._bus.subscribe(  # pyright: ignore[reportUnknownMemberType] -- of `future=`
            subject, queue=queue, cb=hear
        )

    async def close(self) -> None:
        """Take no more requests, answer those that came, and end.

        What has no answer within `STOP_S` is left; its asker asks again.
        """
        if not any(task.done() for task in self._tasks):  # else nobody would answer any more
            with suppress(TimeoutError, BusUnavailableError):
                async with asyncio.timeout(STOP_S):
                    await self._drain()
        for task in self._tasks:
            task.cancel()

    async def _drain(self) -> None:
        for listening in (*self._found, *self._asked):
            await drained(self._bus, listening)
        await self._arrived.join()
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        await self._answered.join()
        if self._bus.is_connected:
            await flush(self._bus)

    async def _arrive(self, message: Message) -> None:
        while len(self._arrived) >= ARRIVED_MAX:  # noqa: ASYNC110 - room is made all the time
            await asyncio.sleep(FULL_S)
        self._arrived.put(tenant_of(message), message)

    async def _begin_all(self) -> None:
        for number in count(1):
            if not number % TOGETHER_MAX:
                await asyncio.sleep(0)
            message = await self._arrived.get()
            begun = False
            try:
                self._begin(message)
                begun = True
            finally:
                if not begun:
                    await self._send(message, self._broken())
                self._arrived.done()

    def _begin(self, message: Message) -> None:
        started = perf_counter_ns()
        if len(self._in_flight) >= IN_FLIGHT_MAX:
            response: Response | Pending = self._too_much()
        else:
            response = self._handle(message)
        if isinstance(response, Response):
            self._answer(_Begun(message, started, lambda: response))
            return
        future, respond = response.future, partial(response.respond, response.future)
        self._in_flight.add(future)
        future.add_done_callback(partial(self._done, _Begun(message, started, respond)))

    def _done(self, begun: _Begun, future: asyncio.Future[Any]) -> None:
        self._in_flight.discard(future)
        self._answer(begun)

    def _answer(self, begun: _Begun) -> None:
        self._answered.put(tenant_of(begun.message), begun)

    async def _send_all(self) -> None:
        for number in count(1):
            if not number % TOGETHER_MAX:
                await asyncio.sleep(0)
            begun = await self._answered.get()
            response = None
            try:
                response = begun.respond()
            finally:
                sent = self._broken() if response is None else response
                self._count(begun, sent)
                await self._send(begun.message, sent)
                self._answered.done()

    async def _send(self, message: Message, response: Response) -> None:
        if not message.reply or self._may_not_answer(message.reply):
            return
        if not fits(self._bus, response.body, response.headers):
            size, most = len(response.body), self._bus.max_payload
            detail = f"the answer has {size:,} bytes, the bus takes {most:,}; read it by a query"
            response = refused(problem(Refusal(Code.INTERNAL, detail)))
        try:
            await send(self._bus, message.reply, response.body, headers=response.headers)
        except BusClosedError:
            raise
        except BusUnavailableError:
            await log.awarning("door.answer_lost", subject=message.subject)

    def _may_not_answer(self, reply: str) -> bool:
        """Whether the asker wants an answer where it may not publish itself, but we may."""
        return reply.startswith(self._ours)

    def _too_much(self) -> Response:
        detail = f"{IN_FLIGHT_MAX:,} commands are being answered, which is the most at a time"
        return refused(problem(Refusal(Code.RATE_LIMITED, detail)))

    def _broken(self) -> Response:
        trace = self._new_id()
        log.error("door.broken", trace=trace, exc_info=sys.exception())
        return refused(internal(trace))

    def _count(self, begun: _Begun, response: Response) -> None:
        statistics = self._statistics.get(begun.message.subject)
        if statistics is None:
            return
        statistics.num_requests += 1
        statistics.processing_time += perf_counter_ns() - begun.started_ns
        if response.error:
            statistics.num_errors += 1
            statistics.last_error = response.error

    async def _show(self, say: Callable[[], dict[str, Any]], message: Message) -> None:
        await self._send(message, Response(_encoder.encode(say())))

    def ping(self) -> dict[str, Any]:
        """Return who is here."""
        return self._said("ping")

    def info(self) -> dict[str, Any]:
        """Return what may be asked."""
        card = self._card
        return self._said("info") | {"description": card.description, "endpoints": card.endpoints}

    def stats(self) -> dict[str, Any]:
        """Return what was asked."""
        return self._said("stats") | {
            "started": self._started,
            "endpoints": [self._stats_of(endpoint) for endpoint in self._card.endpoints],
        }

    def _said(self, kind: str) -> dict[str, Any]:
        card = self._card
        return {
            "type": f"io.nats.micro.v1.{kind}_response",
            "name": card.name,
            "id": card.id,
            "version": card.version,
            "metadata": card.metadata,
        }

    def _stats_of(self, endpoint: Endpoint) -> dict[str, Any]:
        counted = self._statistics[endpoint.subject]
        average = counted.processing_time // max(counted.num_requests, 1)
        return {
            "name": endpoint.name,
            "subject": endpoint.subject,
            "queue_group": endpoint.queue_group,
            **msgspec.structs.asdict(counted),
            "average_processing_time": average,
        }
