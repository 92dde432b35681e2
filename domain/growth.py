"""A growth that does not fit its host: others are moved away, or the container moves itself.

The container keeps its limits until there is room. A growth always ends: done, refused with what
is missing, or abandoned because somebody wanted something else meanwhile.
"""

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from domain.messages import (
    Command,
    ContainerId,
    Event,
    GrowthId,
    GrowthName,
    HostId,
    Instant,
    MigrationId,
    OperationId,
    PublicCommand,
)
from domain.moves import LiveMove

GROWTH_MAX_MS = 600_000
"""How long a growth may take; then it is refused."""
PLANS_MAX = 4
"""Plans that one growth may make: what was planned may have become impossible."""

Limits = tuple[int, int]
"""Reserved cloudlets and limit."""


class Aim(msgspec.Struct, frozen=True, gc=False):
    """What a container is to have: limits; or, within those that it has, to hold so many."""

    reserved: int
    limit: int
    held: int = 0

    @property
    def limits(self) -> Limits:
        return (self.reserved, self.limit)


class CancelGrowth(PublicCommand, frozen=True, kw_only=True, tag="growth.cancel"):
    """Give a growth up: no further move begins; one that is under way comes to its end."""

    growth: GrowthName


class AdvanceGrowth(Command, frozen=True, kw_only=True, tag="growth.advance"):
    """Look whether there is room now; else go on with the plan, or make another. Internal."""

    growth: str


class GrowthState(StrEnum):
    WAITING = "waiting"
    PLANNED = "planned"
    MOVING = "moving"
    DONE = "done"
    REFUSED = "refused"
    ABANDONED = "abandoned"


class GrowthRequested(Event, frozen=True, gc=False, tag="growth.requested"):
    """The container is to have these limits as soon as there is room, at the latest by `until`.

    `operation` is the one whose step it belongs to, if there is one. `held` are the cloudlets that
    it is to hold because it uses so much; its limits are then those that it has.
    """

    growth: GrowthId
    container: ContainerId
    reserved: int
    limit: int
    until: Instant
    operation: OperationId | None = None
    held: int = 0


class GrowthPlanned(Event, frozen=True, gc=False, tag="growth.planned"):
    """The cheaper way: `room` is made on `host`, or the container is to `move` from it.

    `cloudlets` are those that move; `other` is what the other way would have cost, in cloudlets
    and moves, None where there was none.
    """

    growth: GrowthId
    way: str
    host: HostId
    moves: tuple[LiveMove, ...]
    cloudlets: int
    other: tuple[int, int] | None = None


class GrowthMoveBegun(Event, frozen=True, gc=False, tag="growth.move-begun"):
    """The next move of the plan was asked for."""

    growth: GrowthId
    container: ContainerId
    migration: MigrationId


class GrowthSettled(Event, frozen=True, gc=False, tag="growth.settled"):
    """It is over: done, refused or abandoned, and why.

    Where it was refused for want of room, so many cloudlets are `missing`; `proven` says that
    this is certain, not only as far as was looked.
    """

    growth: GrowthId
    container: ContainerId
    outcome: GrowthState
    detail: str = ""
    missing: int = 0
    proven: bool = False


Progressed = GrowthPlanned | GrowthMoveBegun | GrowthSettled
GrowthEvent = GrowthRequested | Progressed


class Growth(msgspec.Struct, frozen=True, gc=False):
    """What must be remembered of a growth; `before` are the limits that the container had.

    `todo` are the moves of the plan that are still to begin, `migration` is the one that was
    asked for last.
    """

    id: GrowthId
    container: ContainerId
    reserved: int
    limit: int
    before: Limits
    until: Instant
    requested_at: Instant
    operation: OperationId | None = None
    state: GrowthState = GrowthState.WAITING
    way: str = ""
    host: HostId = HostId("")
    moves: tuple[LiveMove, ...] = ()
    todo: tuple[LiveMove, ...] = ()
    cloudlets: int = 0
    other: tuple[int, int] | None = None
    plans: int = 0
    migration: MigrationId | None = None
    migrations: tuple[MigrationId, ...] = ()
    detail: str = ""
    missing: int = 0
    proven: bool = False
    finished_at: Instant = Instant(0)
    held: int = 0

    @property
    def aim(self) -> Aim:
        return Aim(self.reserved, self.limit, self.held)


def begin(event: GrowthRequested, before: Limits, at: Instant) -> Growth:
    """Return a growth that was just asked for."""
    return Growth(
        event.growth,
        event.container,
        event.reserved,
        event.limit,
        before,
        event.until,
        at,
        event.operation,
        held=event.held,
    )


def evolve(old: Growth, event: Progressed, at: Instant) -> Growth:
    """Return a growth after what happened to it."""
    match event:
        case GrowthPlanned(way=way, host=host, moves=moves, cloudlets=cloudlets, other=other):
            return replace(
                old,
                state=GrowthState.PLANNED,
                way=way,
                host=host,
                moves=moves,
                todo=moves,
                cloudlets=cloudlets,
                other=other,
                plans=old.plans + 1,
                migration=None,
            )
        case GrowthMoveBegun(migration=migration):
            return replace(
                old,
                state=GrowthState.MOVING,
                todo=old.todo[1:],
                migration=migration,
                migrations=(*old.migrations, migration),
            )
        case GrowthSettled(outcome=outcome, detail=detail, missing=missing, proven=proven):
            return replace(
                old,
                state=outcome,
                detail=detail,
                missing=missing,
                proven=proven,
                todo=(),
                finished_at=at,
            )
