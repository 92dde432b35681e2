"""The durable door: commands kept by a stream until they are answered, answers kept by another.

A command leaves the stream CMD when its outcome stands in RES. Whatever fails in between, it
comes again, and the desk answers it as it did before; RES drops the second copy of the outcome.
"""

import asyncio
from contextlib import suppress
from functools import partial

import msgspec
import structlog

from domain.contracts import TENANT_MAX, Reply, reply_to, within_bus
from domain.decider import Answered, Ask
from domain.messages import REMEMBER_MS, Code, Instant
from domain.problems import Problem
from handlers.bus import (
    BusClosedError,
    BusUnavailableError,
    Listening,
    Message,
    fits,
    listen,
    request,
    send,
)
from handlers.doors.decode import ID, Call, internal, plain_headers, read
from handlers.doors.desk import DeskClosedError, Doorway
from handlers.doors.service import JSON_TYPE, PROBLEM_TYPE, STOP_S, drained
from handlers.journal.stream import MS, SECOND, api

log = structlog.stdlib.get_logger(__name__)

CONSUMER = "engine"
IN_FLIGHT_MAX = 256
"""Commands that are being answered at a time."""
ACK_WAIT_S = 10
"""A command without an answer for so long is delivered again, as after a crash."""
PULL_S = 5
"""When a request for commands that found none is answered."""
HEARTBEAT_S = 1
"""How often JetStream says that it still holds a request for commands."""
SILENCE_S = 2.5 * HEARTBEAT_S
"""JetStream that says nothing for so long, as after an outage, is asked anew."""
PAUSE_S = 0.5
"""Between two attempts to reach the stream."""
AGAIN_MS = 500
"""When a command that could not be answered, or its outcome not stored, comes again."""
NOT_NOW = frozenset({Code.RATE_LIMITED, Code.ENGINE_NOT_LEADER, Code.ENGINE_CATCHING_UP})
"""Refusals that are no outcome: a command that is kept can wait until they have passed."""
STORE_S = 2.0
"""How long the stream of outcomes may take to store one."""

NOBODY = "_"
"""What no tenant is called."""

REQUEST = {"expires": PULL_S * SECOND, "idle_heartbeat": HEARTBEAT_S * SECOND}

HEARTBEAT = "100"
NO_MESSAGES = "404"
EXPIRED = "408"
CONFLICT = "409"
COMPLETED = frozenset({"Batch Completed", "Message Size Exceeds MaxBytes"})
ACK = b"+ACK"
NAK = b"-NAK"
NAK_LATER = NAK + b' {"delay": %d}' % (AGAIN_MS * MS)

ACK_TOKENS = 9
"""`$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`; behind
a leaf node `<domain>.<account>` stand before `<stream>`."""
SEQ_AT = 5
TIME_AT = 7


class ConsumerLostError(RuntimeError):
    """JetStream does not know our consumer, or does not answer."""


class OutcomeNotStoredError(RuntimeError):
    """The stream of outcomes refused one."""


class Place(msgspec.Struct, frozen=True):
    """Where a command stands in the stream CMD, and since when."""

    seq: int
    at: Instant


class _Stored(msgspec.Struct, frozen=True):
    seq: int = 0
    error: msgspec.Raw | None = None


def place(reply: str) -> Place:
    """Read where a message stands from the subject of its acknowledgement."""
    tokens = reply.split(".")
    shift = 0 if len(tokens) == ACK_TOKENS else 2
    return Place(int(tokens[SEQ_AT + shift]), Instant(int(tokens[TIME_AT + shift]) // MS))


class DurableDoor:
    """Takes commands from CMD, asks the desk, stores outcomes in RES. Open once, close once."""

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self._stream = doorway.subjects.stream("CMD")
        self._start = doorway.subjects.durable("", "").removesuffix(".")
        self._inbox = doorway.bus.new_inbox()
        self._arrived = asyncio.Queue[Message]()
        self._carried: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Event()
        self._listening: Listening | None = None
        self._intake: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None

    async def open(self, group: asyncio.TaskGroup) -> None:
        """Begin to take commands. Raises `JetStreamError` where there is no stream CMD."""
        self._group = group
        self._listening = await listen(self._doorway.bus, self._inbox, self._arrived.put)
        await self._ensure_consumer()
        self._intake = group.create_task(self._take_all())

    async def close(self) -> None:
        """Take no more, give back what was not begun, wait for what was."""
        if self._intake is not None:
            self._intake.cancel()
        with suppress(TimeoutError, BusUnavailableError):
            async with asyncio.timeout(STOP_S):
                if self._listening is not None:
                    await drained(self._doorway.bus, self._listening)
                await self._give_back()
                if self._carried:
                    await asyncio.wait(self._carried.values())
        for task in self._carried.values():
            task.cancel()

    async def _give_back(self) -> None:
        while not self._arrived.empty():
            message = self._arrived.get_nowait()
            if message.subject != self._inbox:
                await send(self._doorway.bus, message.reply, NAK)

    async def _ensure_consumer(self) -> None:
        config = {
            "durable_name": CONSUMER,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": ACK_WAIT_S * SECOND,
            "max_deliver": -1,
            "max_ack_pending": IN_FLIGHT_MAX,
            "filter_subject": self._doorway.subjects.durable_all,
        }
        body = msgspec.json.encode({"stream_name": self._stream, "config": config})
        endpoint = f"CONSUMER.DURABLE.CREATE.{self._stream}.{CONSUMER}"
        await api(self._doorway.bus, endpoint, body)

    async def _take_all(self) -> None:
        while True:
            try:
                await self._pull()
            except BusClosedError:
                raise
            except (BusUnavailableError, ConsumerLostError) as error:
                await log.awarning("door.no_commands", error=str(error))
                await asyncio.sleep(PAUSE_S)
                with suppress(BusUnavailableError):
                    await self._ensure_consumer()

    async def _pull(self) -> None:
        """Ask for as many commands as there is room for, again and again."""
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{CONSUMER}"
        while True:
            self._room.clear()
            room = IN_FLIGHT_MAX - len(self._carried)
            if not room:
                await self._room.wait()
                continue
            wanted = msgspec.json.encode({**REQUEST, "batch": room})
            await send(self._doorway.bus, subject, wanted, self._inbox)
            await self._receive(room)

    async def _receive(self, owed: int) -> None:
        """Begin what arrives, until all of it did or the request has ended."""
        while owed:
            message = await self._next()
            if message.subject != self._inbox:
                owed -= 1
                self._begin(message)
            elif _ended(message):
                return

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(SILENCE_S):
                return await self._arrived.get()
        except TimeoutError as error:
            message = f"{self._stream} silent for {SILENCE_S} s"
            raise ConsumerLostError(message) from error

    def _begin(self, message: Message) -> None:
        where = place(message.reply)
        if where.seq in self._carried or self._group is None:
            return  # delivered again while it is being answered: the first copy acknowledges both
        task = self._group.create_task(self._carry(message, where))
        self._carried[where.seq] = task
        task.add_done_callback(partial(self._end, where.seq))

    def _end(self, seq: int, _: asyncio.Task[None]) -> None:
        self._carried.pop(seq, None)
        self._room.set()

    async def _carry(self, message: Message, where: Place) -> None:
        """Answer one command: ask, store the outcome, acknowledge, in this order."""
        tenant, _, name = message.subject.removeprefix(self._start).partition(".")
        now = self._doorway.now()
        call = Call(
            name,
            message.data,
            plain_headers(message.headers),
            lambda: f"cmd-{where.seq}",
            tenant,
            Instant(min(where.at, now) + REMEMBER_MS),
        )
        outcome, mistake = await self._answer(read(call, now))
        if outcome is None:
            await self._acknowledge(message, NAK_LATER)
            return
        try:
            await self._store(self._subject(tenant, outcome.command_id), where, outcome)
        except (BusUnavailableError, OutcomeNotStoredError) as error:
            await log.awarning("door.outcome_not_stored", seq=where.seq, error=str(error))
            await self._acknowledge(message, NAK_LATER)
        else:
            await self._acknowledge(message, ACK)
        if mistake is not None:
            raise mistake

    async def _answer(
        self, ask: Ask | Problem
    ) -> tuple[Reply | Problem | None, BaseException | None]:
        """Return the outcome, None where this engine gives none, and what went wrong inside."""
        if isinstance(ask, Problem):
            return ask, None
        answer = asyncio.ensure_future(self._asked(ask))
        await asyncio.wait([answer])
        if answer.cancelled() or isinstance(answer.exception(), DeskClosedError):
            return None, None
        mistake = answer.exception()
        if mistake is None:
            told = reply_to(answer.result(), ask.id)
            later = isinstance(told, Problem) and told.code in NOT_NOW
            return (None if later else told), None
        trace = self._doorway.new_id()
        log.error("door.broken", trace=trace, ask=ask.id, exc_info=mistake)
        return internal(trace, ask.id), mistake

    async def _asked(self, ask: Ask) -> Answered:
        return await self._doorway.desk.ask(ask)

    def _subject(self, tenant: str, command_id: str) -> str:
        """Return where an outcome is told; a tenant longer than any may be makes no subject."""
        told = tenant if len(tenant) <= TENANT_MAX else NOBODY
        return self._doorway.subjects.outcome(told, command_id)

    async def _store(self, subject: str, where: Place, outcome: Reply | Problem) -> None:
        """Store an outcome once, however often the command was delivered."""
        body = msgspec.json.encode(within_bus(outcome))
        kind = PROBLEM_TYPE if isinstance(outcome, Problem) else JSON_TYPE
        headers = {ID: f"{self._stream}/{where.seq}", "Content-Type": kind}
        if not fits(self._doorway.bus, body, headers):
            message = f"{subject}: {len(body):,} bytes"
            raise OutcomeNotStoredError(message)
        acked = await request(self._doorway.bus, subject, body, within_s=STORE_S, headers=headers)
        stored = msgspec.json.decode(acked, type=_Stored)
        if stored.error is not None:
            message = f"{subject}: {bytes(stored.error).decode()}"
            raise OutcomeNotStoredError(message)

    async def _acknowledge(self, message: Message, how: bytes) -> None:
        with suppress(BusUnavailableError):
            await send(self._doorway.bus, message.reply, how)


def _ended(status: Message) -> bool:
    """Tell whether a request for commands has ended. Raises `ConsumerLostError`."""
    headers = plain_headers(status.headers)
    code, text = headers.get("Status", ""), headers.get("Description", "")
    if code == HEARTBEAT or (code == CONFLICT and text in COMPLETED):
        return False
    if code in (NO_MESSAGES, EXPIRED):
        return True
    message = f"no commands: {code} {text}"
    raise ConsumerLostError(message)
