"""A live migration: from one host to another within its deadline, or as if nothing had been.

The engine grants (asserting the container and both hosts); from there the source agent drives
the hand-over host to host and reports. Until the report both hosts are charged. Past the deadline
the engine does not guess: it calls the hand-over off and asks where the container is.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.container import Placing
from domain.messages import (
    MIGRATION_DEADLINE_S,
    Command,
    ContainerId,
    Event,
    HostId,
    HostName,
    Instant,
    MigrationId,
    MigrationName,
    NodeName,
    OrderId,
    PublicCommand,
)

LEAVING_MAX = 2
"""Migrations that may leave one host at a time."""
ARRIVING_MAX = 2
"""Migrations that may arrive at one host at a time."""
MOVING_MAX = 16
"""Migrations that may be under way in one region at a time."""
QUEUE_MAX_MS = 600_000
SLACK_MS = 5_000
"""How long past its deadline a report of the source agent is waited for."""


class MigrateContainer(PublicCommand, frozen=True, kw_only=True, tag="container.migrate"):
    """Move a running container to `target`, or to the host that placement chooses.

    `deadline_s` counts from granted to running on the target; past it, the container runs on its
    source. `queue=false` refuses where the migration could not begin at once. `force=true` (with
    a reason) goes to a named host in spite of its state and cloudlets; disk and hard groups hold.
    """

    container: NodeName
    target: HostName | None = None
    deadline_s: Annotated[int, Meta(ge=1, le=300)] = MIGRATION_DEADLINE_S
    queue: bool = True
    force: bool = False


class GrantMigration(Command, frozen=True, kw_only=True, tag="migration.grant"):
    """Begin a waiting migration if it may begin now. Internal."""

    migration: MigrationName


class CallOffMigration(Command, frozen=True, kw_only=True, tag="migration.call-off"):
    """End a migration that is under way, because the container must grow where it is. Internal."""

    migration: MigrationName


class MigrationRequested(Event, frozen=True, gc=False, tag="migration.requested"):
    """Asked for and possible; `target` is None where placement chooses when it begins."""

    migration: MigrationId
    container: ContainerId
    source: HostId
    target: HostId | None
    deadline_ms: int
    until: Instant
    waits_for: str = ""
    forced: bool = False
    reason: str = ""
    cold: bool = False


class MigrationWaiting(Event, frozen=True, gc=False, tag="migration.waiting"):
    """It still may not begin, and waits for something else than before."""

    migration: MigrationId
    waits_for: str


class MigrationGranted(Event, frozen=True, gc=False, tag="migration.granted"):
    """Room is promised on the target, both hosts are charged, and the source agent has the word.

    `cold`: not live, as somebody asked for; it is stopped, then started on the target.
    """

    migration: MigrationId
    container: ContainerId
    source: HostId
    target: HostId
    order: OrderId
    until: Instant
    why: Placing | None = None
    cold: bool = False


class MigrationPhaseReached(Event, frozen=True, gc=False, tag="migration.phase-reached"):
    migration: MigrationId
    phase: str
    after_ms: int


class MigrationOverdue(Event, frozen=True, gc=False, tag="migration.overdue"):
    """No report in time: the hand-over is called off, and the source agent asked."""

    migration: MigrationId
    order: OrderId
    why: str = ""


class MigrationStopped(Event, frozen=True, gc=False, tag="migration.stopped"):
    """A cold one: the source confirmed that it does not run there, the target is to start it."""

    migration: MigrationId
    container: ContainerId
    order: OrderId


class MigrationReturning(Event, frozen=True, gc=False, tag="migration.returning"):
    """A cold one: the target could not start it, so the source is to start it again."""

    migration: MigrationId
    container: ContainerId
    order: OrderId
    detail: str


class MigrationCompleted(Event, frozen=True, gc=False, tag="migration.completed"):
    """It runs on the target. `freeze_ms` is its downtime, `total_ms` from granted to running."""

    migration: MigrationId
    container: ContainerId
    source: HostId
    target: HostId
    freeze_ms: int
    total_ms: int


class MigrationReverted(Event, frozen=True, gc=False, tag="migration.reverted"):
    """It runs on its source, as before."""

    migration: MigrationId
    container: ContainerId
    source: HostId
    target: HostId
    detail: str
    freeze_ms: int = 0
    total_ms: int = 0


class MigrationAbandoned(Event, frozen=True, gc=False, tag="migration.abandoned"):
    """It never began: what it waited for did not come, or it became impossible."""

    migration: MigrationId
    container: ContainerId
    detail: str


MigrationEvent = (
    MigrationRequested
    | MigrationWaiting
    | MigrationGranted
    | MigrationPhaseReached
    | MigrationOverdue
    | MigrationStopped
    | MigrationReturning
    | MigrationCompleted
    | MigrationReverted
    | MigrationAbandoned
)


class MigrationState(StrEnum):
    WAITING = "waiting"
    MOVING = "moving"
    CALLING_OFF = "calling_off"
    COMPLETED = "completed"
    REVERTED = "reverted"
    ABANDONED = "abandoned"


class Migration(msgspec.Struct, frozen=True, gc=False):
    id: MigrationId
    container: ContainerId
    source: HostId
    target: HostId | None
    deadline_ms: int
    state: MigrationState = MigrationState.WAITING
    until: Instant = Instant(0)
    waits_for: str = ""
    order: OrderId | None = None
    phases: tuple[tuple[str, int], ...] = ()
    freeze_ms: int = 0
    total_ms: int = 0
    detail: str = ""
    requested_at: Instant = Instant(0)
    finished_at: Instant = Instant(0)
    forced: bool = False
    reason: str = ""
    cold: bool = False
    granted_at: Instant = Instant(0)
    stopped_at: Instant = Instant(0)
    returning: bool = False
