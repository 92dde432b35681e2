"""What an agent remembers: the lines of its ledger, and the agent as their fold.

A crash forgets nothing that was promised. To take a `CallOff` is to call off, unless the container
has been handed over; the answer to a migration is its end.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import islice
from typing import TypeVar, assert_never

import msgspec
from msgspec.structs import replace

from domain.messages import AskId, ContainerId, HostId, MigrationId, OrderId
from domain.orders import (
    AnyReport,
    CallOff,
    MigrateOut,
    Order,
    ReportAbility,
    ReportHealth,
    ReportOrder,
    ReportPhase,
)

ANSWERS_MAX = 4_096
"""Answers remembered; one that is not acknowledged is remembered regardless."""
MOVES_MAX = 1_024
"""Migrations remembered on each side after they have ended."""


class Standing(StrEnum):
    """Where a migration stands, as its source knows and nobody else decides."""

    LEAVING = "leaving"
    CALLED_OFF = "called-off"
    STAYED = "stayed"
    HANDED_OVER = "handed-over"
    GONE = "gone"


class Stage(StrEnum):
    """Where a migration stands on its target."""

    PREPARED = "prepared"
    WENT = "went"
    RAN = "ran"
    DROPPED = "dropped"


class Move(msgspec.Struct, frozen=True, gc=False):
    """A migration as its source remembers it; times are milliseconds of the agent's own clock."""

    migration: MigrationId
    container: ContainerId
    target: HostId
    standing: Standing
    phases: tuple[str, ...] = ()
    granted_ms: int = 0
    frozen_ms: int = 0


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A migration as its target remembers it. `image` restores the held copy once more."""

    migration: MigrationId
    container: ContainerId
    source: HostId
    stage: Stage
    image: bytes = b""


class Agent(msgspec.Struct, frozen=True):
    """What one agent must remember, and no more.

    `under_way` are orders begun and not answered, `answered` the answers given, `owed` the
    reports that the engine has not acknowledged, oldest first. `term` is how often its host came
    back after it was lost: orders of another one are not for it.
    """

    host: HostId
    incarnation: int = 0
    epoch: int = 0
    under_way: Mapping[OrderId, Order] = {}
    answered: Mapping[OrderId, ReportOrder] = {}
    owed: Mapping[AskId, AnyReport] = {}
    moves: Mapping[MigrationId, Move] = {}
    arrivals: Mapping[MigrationId, Arrival] = {}
    term: int = 0


class Entry(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="t"):
    """A line of an agent's ledger; past participle. The tag is its name on disk, for ever."""


class Remembered(Entry, frozen=True, gc=False, tag="agent.remembered"):
    """All that went before, folded: where a compacted ledger begins."""

    agent: Agent


class Incarnated(Entry, frozen=True, gc=False, tag="agent.incarnated"):
    incarnation: int


class EpochSeen(Entry, frozen=True, gc=False, tag="agent.epoch-seen"):
    epoch: int


class TermBegun(Entry, frozen=True, gc=False, tag="agent.term-begun"):
    """Its host was lost and is back: what was under way, owed or on the move is over."""

    term: int


class OrderTaken(Entry, frozen=True, gc=False, tag="agent.order-taken"):
    """It is begun. To take a `CallOff` is to call off, where that is still possible."""

    order: Order


class ReportOwed(Entry, frozen=True, gc=False, tag="agent.report-owed"):
    """It is to be told until it is acknowledged; of an order, it is the answer."""

    report: AnyReport


class ReportAcknowledged(Entry, frozen=True, gc=False, tag="agent.report-acknowledged"):
    ask: AskId


class HandedOver(Entry, frozen=True, gc=False, tag="agent.handed-over"):
    """The point of no return: from here on the container runs on the target, or nowhere."""

    migration: MigrationId
    granted_ms: int
    frozen_ms: int


class ArrivalPrepared(Entry, frozen=True, gc=False, tag="agent.arrival-prepared"):
    """A copy is restored and held here; it runs when it is told to, and not before."""

    migration: MigrationId
    container: ContainerId
    source: HostId
    image: bytes


class ArrivalWent(Entry, frozen=True, gc=False, tag="agent.arrival-went"):
    """The source has handed over: the copy held here is the container."""

    migration: MigrationId


class ArrivalRan(Entry, frozen=True, gc=False, tag="agent.arrival-ran"):
    migration: MigrationId


class ArrivalDropped(Entry, frozen=True, gc=False, tag="agent.arrival-dropped"):
    """No copy may be held here for this migration any more, whatever comes late."""

    migration: MigrationId
    container: ContainerId
    source: HostId


OwnEntry = Remembered | Incarnated | EpochSeen | TermBegun
DutyEntry = OrderTaken | ReportOwed | ReportAcknowledged | HandedOver
ArrivalEntry = ArrivalPrepared | ArrivalWent | ArrivalRan | ArrivalDropped
AnyEntry = OwnEntry | DutyEntry | ArrivalEntry


def evolve(agent: Agent, entry: AnyEntry) -> Agent:
    """Return the agent after an entry of its ledger."""
    match entry:
        case Remembered() | Incarnated() | EpochSeen() | TermBegun():
            return _evolve_own(agent, entry)
        case OrderTaken() | ReportOwed() | ReportAcknowledged() | HandedOver():
            return _evolve_duty(agent, entry)
        case ArrivalPrepared() | ArrivalWent() | ArrivalRan() | ArrivalDropped():
            return _evolve_arrival(agent, entry)
        case _:
            assert_never(entry)


def _evolve_own(agent: Agent, entry: OwnEntry) -> Agent:
    match entry:
        case Remembered():
            return entry.agent
        case Incarnated():
            return replace(agent, incarnation=entry.incarnation)
        case EpochSeen():
            return replace(agent, epoch=max(agent.epoch, entry.epoch))
        case TermBegun():
            return _anew(agent, entry.term)
        case _:
            assert_never(entry)


def _anew(agent: Agent, term: int) -> Agent:
    """Forget what the engine has answered in our place; nothing is left that may yet begin."""
    stays = {Standing.LEAVING: Standing.STAYED, Standing.HANDED_OVER: Standing.GONE}
    moves = {
        name: replace(move, standing=stays.get(move.standing, move.standing))
        for name, move in agent.moves.items()
    }
    arrivals = {
        name: one if one.stage is Stage.RAN else replace(one, stage=Stage.DROPPED, image=b"")
        for name, one in agent.arrivals.items()
    }
    return replace(agent, term=term, under_way={}, owed={}, moves=moves, arrivals=arrivals)


def _evolve_duty(agent: Agent, entry: DutyEntry) -> Agent:
    match entry:
        case OrderTaken():
            return _taken(agent, entry.order)
        case ReportOwed(report=report):
            return _owed(agent, report)
        case ReportAcknowledged():
            return replace(agent, owed=without(agent.owed, entry.ask))
        case HandedOver(migration=migration):
            move = replace(
                agent.moves[migration],
                standing=Standing.HANDED_OVER,
                granted_ms=entry.granted_ms,
                frozen_ms=entry.frozen_ms,
            )
            return replace(agent, moves={**agent.moves, migration: move})
        case _:
            assert_never(entry)


def _taken(agent: Agent, order: Order) -> Agent:
    agent = replace(agent, under_way={**agent.under_way, order.id: order})
    match order.work:
        case MigrateOut(migration=migration, target=target):
            move = Move(migration, order.container, target, Standing.LEAVING)
        case CallOff(migration=migration):
            move = agent.moves.get(migration) or Move(
                migration, order.container, HostId(""), Standing.LEAVING
            )
            if move.standing is Standing.LEAVING:
                move = replace(move, standing=Standing.CALLED_OFF)
        case _:
            return agent
    moves = {**without(agent.moves, migration), migration: move}
    return replace(agent, moves=bounded(moves, MOVES_MAX, _ended_moves(moves)))


def _ended_moves(moves: Mapping[MigrationId, Move]) -> Iterator[MigrationId]:
    open_still = (Standing.LEAVING, Standing.HANDED_OVER)
    return (name for name, move in moves.items() if move.standing not in open_still)


def _owed(agent: Agent, report: AnyReport) -> Agent:
    if isinstance(report, ReportOrder):
        return _answered(agent, report)
    return _told(agent, report)


def _answered(agent: Agent, report: ReportOrder) -> Agent:
    order = agent.under_way.get(report.order)
    owed = {**agent.owed, report.ask: report}
    answered = {**agent.answered, report.order: report}
    done_with = (name for name, old in answered.items() if old.ask not in owed)
    agent = replace(
        agent,
        under_way=without(agent.under_way, report.order),
        answered=bounded(answered, ANSWERS_MAX, done_with),
        owed=owed,
    )
    if order is None or not isinstance(order.work, MigrateOut):
        return agent
    standing = Standing.GONE if report.done else Standing.STAYED
    move = agent.moves.get(order.work.migration)
    if move is None:
        return agent
    moves = {**agent.moves, move.migration: replace(move, standing=standing)}
    return replace(agent, moves=moves)


def _told(agent: Agent, report: ReportHealth | ReportPhase | ReportAbility) -> Agent:
    # Of what changes, only the last one counts: they could pile up.
    owed = {ask: old for ask, old in agent.owed.items() if not _overtaken(old, report)}
    agent = replace(agent, owed={**owed, report.ask: report})
    move = agent.moves.get(report.migration) if isinstance(report, ReportPhase) else None
    if move is None or not isinstance(report, ReportPhase):
        return agent
    move = replace(move, phases=(*move.phases, report.phase))
    return replace(agent, moves={**agent.moves, move.migration: move})


def _overtaken(old: AnyReport, new: AnyReport) -> bool:
    """Say whether nobody needs to hear an old report where the new one is told."""
    if isinstance(old, ReportHealth) and isinstance(new, ReportHealth):
        return old.container == new.container
    return isinstance(old, ReportAbility) and isinstance(new, ReportAbility)


def _evolve_arrival(agent: Agent, entry: ArrivalEntry) -> Agent:
    match entry:
        case ArrivalPrepared():
            arrival = Arrival(
                entry.migration, entry.container, entry.source, Stage.PREPARED, entry.image
            )
        case ArrivalWent():
            arrival = replace(agent.arrivals[entry.migration], stage=Stage.WENT)
        case ArrivalRan():
            arrival = replace(agent.arrivals[entry.migration], stage=Stage.RAN, image=b"")
        case ArrivalDropped():
            arrival = Arrival(entry.migration, entry.container, entry.source, Stage.DROPPED)
        case _:
            assert_never(entry)
    arrivals = {**without(agent.arrivals, entry.migration), entry.migration: arrival}
    over = (Stage.RAN, Stage.DROPPED)
    ended = (name for name, old in arrivals.items() if old.stage in over)
    return replace(agent, arrivals=bounded(arrivals, MOVES_MAX, ended))


K = TypeVar("K")
V = TypeVar("V")


def without(old: Mapping[K, V], key: K) -> dict[K, V]:
    """Return the mapping without `key`."""
    return {name: value for name, value in old.items() if name != key}


def bounded(old: Mapping[K, V], most: int, may_go: Iterable[K]) -> Mapping[K, V]:
    """Return the mapping without the oldest of those that may go, if it is too large."""
    excess = len(old) - most
    if excess <= 0:
        return old
    going = frozenset(islice(may_go, excess))
    return {name: value for name, value in old.items() if name not in going}
