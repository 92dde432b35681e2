"""The engine's one queue: everything that is asked passes here, and nothing is answered early.

Commands are let in by their tenant's limits and taken in turns. What waits is decided together
and becomes one frame; while that frame is on its way, what comes in is decided into the next. An
answer is given when its frame is stored, never before. One frame is in flight.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from domain.dead import Letter
from domain.decider import Answered, Ask, Commit
from domain.facts import Fact
from domain.messages import Code, DeadId, Instant, PublicCommand, Refusal, Tenant
from domain.problems import BUGS
from domain.region import Region
from domain.tenant import limits_of
from domain.wire import encode_commit
from handlers.doors.desk import DeskClosedError
from handlers.doors.turns import Turns
from handlers.engine.admission import Admission
from handlers.engine.tally import Tally
from handlers.traces import Traces

log = structlog.stdlib.get_logger(__name__)

ASKS_A_FRAME_MAX = 512
FRAME_FULL_BYTES = 100 * 1_024
"""A frame of this size is full. The last commit of a frame may be as large as a commit may be,
and with what stands before it must still pass the bus, which takes 1 MiB."""
OWN_WAITING_MAX = 20_000
"""Reports and deadlines that may wait; one more is turned away and comes again by itself."""
Store = Callable[[Sequence[Commit[Fact]]], Awaitable[object]]
Effects = Callable[[Sequence[Commit[Fact]]], Awaitable[None]]


class Clock(Protocol):
    def __call__(self) -> Instant: ...


class Waiting(msgspec.Struct, frozen=True):
    """An ask in the queue, and who waits for its answer.

    With a `refusal` it is not decided: it is refused so, if it has no answer yet.
    """

    ask: Ask
    told: asyncio.Future[Answered]
    refusal: Refusal | None = None


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

    def __init__(  # noqa: PLR0913 - all that it works with
        self,
        region: Region,
        store: Store,
        effects: Effects,
        now: Clock,
        *,
        tally: Tally | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._tally = tally or Tally()
        self._traces = traces or Traces()
        self._region = region
        self._store = store
        self._effects = effects
        self._now = now
        self._waiting: Turns[Waiting] = Turns()
        self._admission = Admission(region.fleet.limits)
        self._stirred = asyncio.Event()
        self._closed = False

    def ask(self, ask: Ask) -> asyncio.Future[Answered]:
        """Queue an ask; the future has its answer once that stands in the journal.

        What is turned away with `rate.limited` is told so at once, and not remembered.
        """
        told: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        over = self._traces.asked(ask)
        if over is not None:
            told.add_done_callback(over)
        if self._closed:
            told.set_exception(DeskClosedError("this engine answers no more"))
        elif isinstance(ask.command, PublicCommand):
            self._ask_of_tenant(Waiting(ask, told))
        else:
            self._ask_of_ours(Waiting(ask, told))
        return told

    def _ask_of_tenant(self, waiting: Waiting) -> None:
        tenant = waiting.ask.tenant
        refusal = self._admission.admit(tenant, self._now())
        if refusal is not None:
            self._tally.turned_away += 1
            waiting.told.set_result(Answered(refusal, self._region.position))
            return
        waiting.told.add_done_callback(lambda _: self._admission.answered(tenant))
        self._waiting.put(tenant, waiting)
        self._stirred.set()

    def _ask_of_ours(self, waiting: Waiting) -> None:
        if len(self._waiting.own) >= OWN_WAITING_MAX:
            waiting.told.set_result(Answered(BUSY, self._region.position))
            return
        self._waiting.own.append(waiting)
        self._stirred.set()

    def charge(self, tenant: Tenant) -> Refusal | None:
        """Charge a tenant for what is no command, or say when there is room for it again."""
        return self._admission.charge(tenant, self._now())

    @property
    def letters(self) -> Mapping[DeadId, Letter]:
        """The dead letters of the region."""
        return self._region.fleet.dead

    def kept_max(self, tenant: Tenant) -> int:
        """Return how many commands of a tenant the durable door may keep."""
        return limits_of(self._region.fleet.limits, tenant).kept

    def knows(self, ask: Ask) -> bool:
        """Say whether an ask has its answer."""
        return self._region.answers.get(ask.id, ask.tenant) is not None

    def give_up(self, ask: Ask) -> asyncio.Future[Answered]:
        """Answer an ask `internal`, undecided, unless it has its answer already.

        For one that ended an engine before: to decide it again would end this one too.
        """
        told: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        if self._closed:
            told.set_exception(DeskClosedError("this engine answers no more"))
        else:
            self._ask_of_ours(Waiting(ask, told, fatal(ask)))
        return told

    @property
    def waiting(self) -> int:
        """How many asks wait to be decided."""
        return len(self._waiting)

    @property
    def turned_away(self) -> int:
        """How many commands were turned away since this engine leads."""
        return self._admission.turned_away

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
        while self._waiting:
            _tell_closed(self._waiting.take().told)

    def _decide(self, batch: Batch) -> None:
        """Decide what waits, in order, into the next frame until that is full."""
        now = self._now()
        while self._waiting and not batch.full:
            self._take(self._waiting.take(), batch, now)

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
        if waiting.refusal is None:
            commit = self._commit(ask, now)
        else:
            commit = self._region.refuse(ask, waiting.refusal, now)
        batch.commits.append(commit)
        batch.bytes += len(encode_commit(commit))
        batch.answers.append((waiting.told, Answered(commit.answer, self._region.position)))

    def _commit(self, ask: Ask, now: Instant) -> Commit[Fact]:
        """Decide an ask. What meets a mistake of ours is answered `internal`; the queue goes on."""
        try:
            return self._region.decide(ask, now)
        except BUGS:
            log.exception("desk.bug", ask=ask.id, command=type(ask.command).__name__)
            self._tally.bugs += 1
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
                begun, at = time.perf_counter(), time.time_ns()
                await self._store(batch.commits)
                self._tally.stored(batch.commits, time.perf_counter() - begun)
                self._traces.stored(batch.commits, at)
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
    f"{OWN_WAITING_MAX:,} reports and deadlines wait already; this one comes again",
    "",
    {"waiting": OWN_WAITING_MAX},
    1_000,
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


def fatal(ask: Ask) -> Refusal:
    """Answer an ask of which an engine died more than once."""
    return Refusal(
        Code.INTERNAL,
        f"engines ended while they carried {ask.id} out; it is not tried again",
        "",
        {"id": ask.id},
    )


def _tell_closed(told: asyncio.Future[Answered]) -> None:
    if not told.done():
        told.set_exception(DeskClosedError("this engine answers no more"))
