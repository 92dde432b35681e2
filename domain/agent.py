"""What an agent owes: each order begun at most once and answered with one report.

What could be disputed about a live migration is settled here too: the source hands over only
while it may (`hand_over`), and calling off forbids it for ever, whichever order came first.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from domain.memory import (
    Agent,
    AnyEntry,
    EpochSeen,
    HandedOver,
    OrderTaken,
    ReportOwed,
    Standing,
)
from domain.messages import (
    INTEGER_MAX,
    AskId,
    ContainerId,
    HostId,
    Instant,
    Integer,
    MigrationId,
)
from domain.orders import CallOff, MigrateOut, Order, ReportOrder, Start

Phase = Literal["checked", "copying", "frozen", "resumed", "reachable"]


class Hello(msgspec.Struct, frozen=True):
    """An agent is there and wants what it owes; a request on `<p>.hi.<host>`."""

    host: HostId
    incarnation: Integer
    epoch: Integer


class Welcome(msgspec.Struct, frozen=True):
    """The engine's answer to `Hello`; outstanding orders follow as orders."""

    epoch: int = 0


class Receipt(msgspec.Struct, frozen=True):
    """The engine's answer to a report; "ok" once it is journaled."""

    status: str = ""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """What one container uses. Append-only layout. `count` is what a simulated one counted to.

    `io_kib_s` and `iops` are what it reads and writes a second: KiB, and operations.
    """

    container: ContainerId
    cpu_mhz: Integer
    memory_mib: Integer
    disk_mib: Integer
    net_kib_s: Integer
    count: Integer = 0
    restarts: Integer = 0
    io_kib_s: Integer = 0
    iops: Integer = 0


class Usage(msgspec.Struct, frozen=True):
    """One sample of each running container of a host, on `<p>.use.<host>`."""

    host: HostId
    at: Annotated[Instant, Meta(ge=0, le=INTEGER_MAX)]
    containers: tuple[Sample, ...]


class Begin(msgspec.Struct, frozen=True):
    """Carry it out."""

    order: Order


class Again(msgspec.Struct, frozen=True):
    """It has been answered: the same report is owed once more."""

    report: ReportOrder


class Declined(msgspec.Struct, frozen=True):
    """It may not begin: it expired, or its migration was tried or called off before."""

    report: ReportOrder


class UnderWay(msgspec.Struct, frozen=True):
    """It has begun, and its answer will come."""


class Stale(msgspec.Struct, frozen=True):
    """Of an engine that was replaced, of another term, or not for this agent: no answer."""

    newest: int


Verdict = Begin | Again | Declined | UnderWay | Stale


def receive(agent: Agent, order: Order, now: Instant) -> tuple[tuple[AnyEntry, ...], Verdict]:
    """Judge an order: what is to be written down, and what is to be done."""
    if order.epoch < agent.epoch or order.to != agent.host or order.term != agent.term:
        return (), Stale(agent.epoch)
    entries, verdict = _judge(agent, order, now)
    if order.epoch > agent.epoch:
        return (EpochSeen(order.epoch), *entries), verdict
    return entries, verdict


def _judge(agent: Agent, order: Order, now: Instant) -> tuple[tuple[AnyEntry, ...], Verdict]:
    if report := agent.answered.get(order.id):
        return (ReportOwed(report),), Again(report)
    if order.id in agent.under_way:
        return (), UnderWay()
    if objection := _objection(agent, order, now):
        report = ReportOrder(
            ask=AskId(f"{order.id}/r"),
            host=agent.host,
            order=order.id,
            done=False,
            detail=objection,
            running=not isinstance(order.work, Start),
            located=agent.host if isinstance(order.work, MigrateOut) else None,
        )
        return (ReportOwed(report),), Declined(report)
    return (OrderTaken(order),), Begin(order)


def _objection(agent: Agent, order: Order, now: Instant) -> str:
    """Say why an order must not begin, or "". To call off is never too late: it only forbids."""
    if isinstance(order.work, CallOff):
        return ""
    if 0 < order.expires < now:
        return "expired"
    if isinstance(order.work, MigrateOut) and (move := agent.moves.get(order.work.migration)):
        return f"migration {move.migration} may not begin: {move.standing}"
    return ""


def hand_over(
    agent: Agent, migration: MigrationId, *, granted_ms: int, frozen_ms: int
) -> HandedOver | None:
    """Return the point of no return, or None where it is forbidden: called off, or over."""
    move = agent.moves.get(migration)
    if move is None or move.standing is not Standing.LEAVING:
        return None
    return HandedOver(migration, granted_ms, frozen_ms)


def whereabouts(agent: Agent, container: ContainerId) -> HostId | None:
    """Return the host that a container which is not here was last handed over to."""
    away = (Standing.HANDED_OVER, Standing.GONE)
    moves = (move for move in agent.moves.values() if move.container == container)
    gone = [move.target for move in moves if move.standing in away]
    return gone[-1] if gone else None
