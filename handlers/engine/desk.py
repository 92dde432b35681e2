"""The engine's one queue: everything that is asked passes here, and nothing is answered early.

What waits is decided together and becomes one frame; while that frame is on its way, what comes
in is decided into the next. An answer is given when its frame is stored, never before. One frame
is in flight.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from domain.decider import Answered, Ask, Commit
from domain.facts import Fact
from domain.messages import Code, Instant, Refusal
from domain.region import Region
from domain.wire import encode_commit
from handlers.doors.desk import DeskClosedError

log = structlog.stdlib.get_logger(__name__)

ASKS_A_FRAME_MAX = 512
FRAME_FULL_BYTES = 100 * 1_024
"""A frame of this size is full. The last commit of a frame may be as large as a commit may be,
and with what stands before it must still pass the bus, which takes 1 MiB."""
WAITING_MAX = 20_000
"""Asks that may wait; one more is refused with `rate.limited`."""
BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a mistake in a decision raises. The ask is answered `internal`, once; the queue goes on."""

Store = Callable[[Sequence[Commit[Fact]]], Awaitable[object]]
Effects = Callable[[Sequence[Commit[Fact]]], Awaitable[None]]


class Clock(Protocol):
    def __call__(self) -> Instant: ...


class Waiting(msgspec.Struct, frozen=True):
    """An ask in the queue, and who waits for its answer."""

    ask: Ask
    told: asyncio.Future[Answered]


class Batch(msgspec.Struct):
    """What was decided together: what is to be stored, and what is to be said after that."""

    commits: list[Commit[Fact]] = msgspec.field(default_factory=list[Commit[Fact]])
    answers: list[tuple[asyncio.Future[Answered], Answered]] = msgspec.field(
        default_factory=list[tuple[asyncio.Future[Answered], Answered]]
    )
    bytes: int = 0

    @property
    def full(self) -> bool:
        return len(self.answers) >= ASKS_A_FRAME_MAX or self.bytes >= FRAME_FULL_BYTES


class Desk:
    """Answers every ask once. `store` writes a frame, `effects` is called with what was stored."""

    def __init__(self, region: Region, store: Store, effects: Effects, now: Clock) -> None:
        self._region = region
        self._store = store
        self._effects = effects
        self._now = now
        self._waiting: deque[Waiting] = deque()
        self._stirred = asyncio.Event()
        self._closed = False

    def ask(self, ask: Ask) -> asyncio.Future[Answered]:
        """Queue an ask; the future has its answer once that stands in the journal."""
        told: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        if self._closed:
            told.set_exception(DeskClosedError("this engine answers no more"))
        elif len(self._waiting) >= WAITING_MAX:
            told.set_result(Answered(BUSY, self._region.position))
        else:
            self._waiting.append(Waiting(ask, told))
            self._stirred.set()
        return told

    async def run(self) -> None:
        """Decide and store for ever. Raises what `store` raises when this engine is over."""
        flight: asyncio.Task[None] | None = None
        batch = Batch()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._stirred.wait()
                    self._stirred.clear()
                    self._decide(batch)
                    if batch.answers and (flight is None or flight.done()):
                        flight = group.create_task(self._land(batch))
                        flight.add_done_callback(lambda _: self._stirred.set())
                        batch = Batch()
                        if self._waiting:
                            self._stirred.set()
        finally:
            for told, _ in batch.answers:
                _tell_closed(told)
            self.close()

    def close(self) -> None:
        """Turn away whoever waits, and whoever comes."""
        self._closed = True
        for waiting in self._waiting:
            _tell_closed(waiting.told)
        self._waiting.clear()

    def _decide(self, batch: Batch) -> None:
        """Decide what waits, in order, into the next frame until that is full."""
        now = self._now()
        while self._waiting and not batch.full:
            self._take(self._waiting.popleft(), batch, now)

    def _take(self, waiting: Waiting, batch: Batch, now: Instant) -> None:
        ask = waiting.ask
        known = self._region.answers.get(ask.id, ask.tenant)
        if known is not None:
            same = known.fingerprint == ask.fingerprint
            answer = known.answer if same else reused(ask)
            batch.answers.append((waiting.told, Answered(answer, known.position)))
            return
        if ask.dry_run:
            batch.answers.append((waiting.told, self._plan(ask, now)))
            return
        commit = self._commit(ask, now)
        batch.commits.append(commit)
        batch.bytes += len(encode_commit(commit))
        batch.answers.append((waiting.told, Answered(commit.answer, self._region.position)))

    def _commit(self, ask: Ask, now: Instant) -> Commit[Fact]:
        try:
            return self._region.decide(ask, now)
        except BUGS:
            log.exception("desk.bug", ask=ask.id, command=type(ask.command).__name__)
            return self._region.refuse(ask, broken(ask), now)

    def _plan(self, ask: Ask, now: Instant) -> Answered:
        try:
            answer, plan = self._region.plan(ask, now)
        except BUGS:
            log.exception("desk.bug", ask=ask.id, command=type(ask.command).__name__)
            answer, plan = broken(ask), None
        return Answered(answer, self._region.position, plan)

    async def _land(self, batch: Batch) -> None:
        """Store what was decided, then let everybody know."""
        stored = False
        try:
            if batch.commits:
                await self._store(batch.commits)
            stored = True
        finally:
            if not stored:
                for told, _ in batch.answers:
                    _tell_closed(told)
        for told, answered in batch.answers:
            if not told.done():
                told.set_result(answered)
        await self._effects(batch.commits)


BUSY = Refusal(
    Code.RATE_LIMITED,
    f"{WAITING_MAX} commands wait already; send this one again in a second",
    "",
    {"waiting": WAITING_MAX},
)


def reused(ask: Ask) -> Refusal:
    """Refuse another command under an id that has its answer."""
    return Refusal(
        Code.COMMAND_REUSED,
        f"the id {ask.id} was used for another command; give every command an id of its own",
        "$.id",
        {"id": ask.id},
    )


def broken(ask: Ask) -> Refusal:
    """Answer an ask that met a mistake of ours."""
    return Refusal(
        Code.INTERNAL,
        f"Restow made a mistake over {ask.id}; nothing was changed, the engine's log has the trace",
        "",
        {"id": ask.id},
    )


def _tell_closed(told: asyncio.Future[Answered]) -> None:
    if not told.done():
        told.set_exception(DeskClosedError("this engine answers no more"))
