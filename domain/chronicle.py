"""What the events of operations and migrations do to the fleet. It has happened; no deciding."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from domain import host as h
from domain import migration as mv
from domain import operation as op
from domain.aftermath import AFTERMATH, forget_recoveries
from domain.evolution import EVOLVE, charge, release
from domain.facts import FACTS, Fact
from domain.fleet import Fleet
from domain.messages import Event, HostId, Instant
from domain.migration import Migration, MigrationState
from domain.operation import Finished, Operation, OperationState, Outcome, Stage, Step, StepKind
from domain.shifts import SHIFTS

NONE = Instant(0)
DEPLOYING = {StepKind.REDEPLOY, StepKind.DEPLOY}


def requested(fleet: Fleet, event: op.OperationRequested, at: Instant) -> None:
    new = Operation(
        event.operation,
        event.kind,
        event.environment,
        event.layer,
        event.settings,
        event.plan,
        requested_at=at,
        before=event.before,
        software=event.software,
        after=event.after,
    )
    fleet.put(fleet.counters, "operation", int(event.operation.removeprefix("op")))
    fleet.put_operation(new)
    layer = fleet.layers[new.key]
    if event.behind is None and event.after is None:
        layer = replace(layer, operation=new.id)
    else:
        layer = replace(layer, queue=(*layer.queue, new.id))
    fleet.put(fleet.layers, new.key, layer)


def started(fleet: Fleet, event: op.OperationStarted, _at: Instant) -> None:
    old = fleet.operations[event.operation]
    layer = fleet.layers[old.key]
    previous = layer.software if old.software else None
    fleet.put_operation(replace(old, state=OperationState.RUNNING, previous=previous))
    queue = tuple(name for name in layer.queue if name != old.id)
    fleet.put(fleet.layers, old.key, replace(layer, operation=old.id, queue=queue))


def waiting(fleet: Fleet, event: op.OperationWaiting, _at: Instant) -> None:
    old = fleet.operations[event.operation]
    new = replace(old, state=OperationState.WAITING, until=event.until, detail=event.why)
    fleet.put_operation(new)


def intrusive(operation: Operation, kind: StepKind) -> bool:
    """Say whether a step of this kind keeps its container from serving for a while."""
    return kind is not StepKind.RESIZE or operation.settings.remove_from_dns


def step_started(fleet: Fleet, event: op.StepStarted, _at: Instant) -> None:
    old = fleet.operations[event.operation]
    planned = next(p for p in old.todo if p.container == event.container and p.kind is event.kind)
    container = fleet.containers[event.container]
    ran = container.software or old.previous if event.kind in DEPLOYING else None
    step = Step(planned, before=(container.reserved, container.limit), ran=ran)
    new = replace(
        old,
        todo=tuple(p for p in old.todo if p is not planned),
        steps=(*old.steps, step),
        state=OperationState.RUNNING,
        until=NONE,
        detail="",
    )
    fleet.put_operation(new)
    if intrusive(old, event.kind):
        fleet.put(fleet.containers, container.id, replace(container, claim=old.id))


def step_advanced(fleet: Fleet, event: op.StepAdvanced, at: Instant) -> None:
    old = fleet.operations[event.operation]
    steps = tuple(
        replace(
            step,
            stage=event.stage,
            until=event.until,
            order=event.order,
            unrouted=step.unrouted or event.unrouted,
            failed=step.failed or event.failed,
        )
        if step.planned.container == event.container
        else step
        for step in old.steps
    )
    rest_from = at if event.stage is Stage.ROUTING else old.rest_from
    fleet.put_operation(replace(old, steps=steps, rest_from=rest_from))


def step_finished(fleet: Fleet, event: op.StepFinished, at: Instant) -> None:
    old = fleet.operations[event.operation]
    step = old.step(event.container) or Step(
        next(p for p in old.todo if p.container == event.container)
    )
    over = Finished(step.planned, event.outcome, event.detail, step.before, step.ran)
    routed = step.stage is Stage.ROUTING and event.outcome is Outcome.DONE
    new = replace(
        old,
        todo=tuple(p for p in old.todo if p is not step.planned),
        steps=tuple(s for s in old.steps if s is not step),
        over=(*old.over, over),
        state=OperationState.RUNNING,
        until=NONE,
        rest_from=old.rest_from if routed else at,
        rested=event.outcome is Outcome.SKIPPED,
    )
    fleet.put_operation(new)
    release(fleet, event.container, old.id)


def delay_started(fleet: Fleet, event: op.DelayStarted, _at: Instant) -> None:
    old = fleet.operations[event.operation]
    new = replace(old, state=OperationState.DELAYING, until=event.until, rested=True)
    fleet.put_operation(new)


def asked(fleet: Fleet, event: op.OperationAsked, _at: Instant) -> None:
    old = fleet.operations[event.operation]
    fleet.put_operation(replace(old, state=OperationState.ASKING, until=NONE))


def paused(fleet: Fleet, event: op.OperationPaused, _at: Instant) -> None:
    old = fleet.operations[event.operation]
    fleet.put_operation(replace(old, paused=True))


def resumed(fleet: Fleet, event: op.OperationResumed, _at: Instant) -> None:
    old = fleet.operations[event.operation]
    if old.state is OperationState.ASKING:
        old = replace(old, state=OperationState.RUNNING, rested=True)
    fleet.put_operation(replace(old, paused=False))


def cancelled(fleet: Fleet, event: op.OperationCancelled, _at: Instant) -> None:
    old = fleet.operations[event.operation]
    fleet.put_operation(replace(old, cancelled=True, paused=False))


def rollback_started(fleet: Fleet, event: op.RollbackStarted, _at: Instant) -> None:
    old = fleet.operations[event.operation]
    fleet.put_operation(replace(old, todo=event.plan, rolling_back=True, rested=True))


def finished(fleet: Fleet, event: op.OperationFinished, at: Instant) -> None:
    old = fleet.operations[event.operation]
    new = replace(
        old,
        state=OperationState.FINISHED,
        todo=(),
        until=NONE,
        outcome=event.outcome,
        detail=event.detail,
        finished_at=at,
    )
    fleet.put_operation(new)
    layer = fleet.layers[old.key]
    operation = None if layer.operation == old.id else layer.operation
    queue = tuple(name for name in layer.queue if name != old.id)
    fleet.put(fleet.layers, old.key, replace(layer, operation=operation, queue=queue))
    fleet.retire(old.id)


def migration_requested(fleet: Fleet, event: mv.MigrationRequested, at: Instant) -> None:
    new = Migration(
        event.migration,
        event.container,
        event.source,
        event.target,
        event.deadline_ms,
        until=event.until,
        waits_for=event.waits_for,
        requested_at=at,
        forced=event.forced,
        reason=event.reason,
        cold=event.cold,
    )
    fleet.put(fleet.counters, "migration", int(event.migration.removeprefix("mv")))
    container = fleet.containers[event.container]
    fleet.put(fleet.containers, container.id, replace(container, migration=new.id))
    fleet.put_migration(new)


def waits_on(fleet: Fleet, event: mv.MigrationWaiting, _at: Instant) -> None:
    old = fleet.migrations[event.migration]
    fleet.put_migration(replace(old, waits_for=event.waits_for))


def touch(fleet: Fleet, host: HostId, leaving: int, arriving: int) -> None:
    """Count migrations that leave and arrive at a host."""
    old = fleet.hosts[host]
    new = replace(old, leaving=old.leaving + leaving, arriving=old.arriving + arriving)
    fleet.put(fleet.hosts, host, new)


def granted(fleet: Fleet, event: mv.MigrationGranted, at: Instant) -> None:
    old = fleet.migrations[event.migration]
    new = replace(
        old,
        source=event.source,
        target=event.target,
        state=MigrationState.MOVING,
        until=event.until,
        order=event.order,
        waits_for="",
        granted_at=at,
    )
    container = fleet.containers[event.container]
    moving = replace(container, target=event.target, claim=event.migration)
    fleet.put(fleet.containers, container.id, moving)
    charge(fleet, event.target, container.allocated, container.disk_gib)
    touch(fleet, event.source, 1, 0)
    touch(fleet, event.target, 0, 1)
    fleet.put_migration(new)


def phase_reached(fleet: Fleet, event: mv.MigrationPhaseReached, _at: Instant) -> None:
    old = fleet.migrations[event.migration]
    phases = (*old.phases, (event.phase, event.after_ms))
    fleet.put_migration(replace(old, phases=phases))


def overdue(fleet: Fleet, event: mv.MigrationOverdue, _at: Instant) -> None:
    old = fleet.migrations[event.migration]
    state = MigrationState.CALLING_OFF
    fleet.put_migration(replace(old, state=state, until=NONE, detail=event.why))


def stopped(fleet: Fleet, event: mv.MigrationStopped, at: Instant) -> None:
    old = fleet.migrations[event.migration]
    fleet.put_migration(replace(old, order=event.order, stopped_at=at))


def returning(fleet: Fleet, event: mv.MigrationReturning, _at: Instant) -> None:
    old = fleet.migrations[event.migration]
    fleet.put_migration(replace(old, order=event.order, detail=event.detail, returning=True))


def host_removed(fleet: Fleet, event: h.HostRemoved, at: Instant) -> None:
    """Forget a host, what was recovered from it, and the evacuations whose way back led to it."""
    EVOLVE[h.HostRemoved](fleet, event, at)
    forget_recoveries(fleet, event.host)
    for old in list(fleet.evacuations.values()):
        if old.host == event.host and old.finished_at:
            fleet.put(fleet.evacuations, old.id, None)


def completed(fleet: Fleet, event: mv.MigrationCompleted, at: Instant) -> None:
    container = fleet.containers[event.container]
    charge(fleet, event.source, -container.allocated, -container.disk_gib, -1)
    charge(fleet, event.target, 0, 0, 1)
    moved = replace(container, host=event.target, moves=container.moves + 1)
    fleet.put(fleet.containers, container.id, moved)
    settled(fleet, event, MigrationState.COMPLETED, at)


def reverted(fleet: Fleet, event: mv.MigrationReverted, at: Instant) -> None:
    container = fleet.containers[event.container]
    charge(fleet, event.target, -container.allocated, -container.disk_gib)
    settled(fleet, event, MigrationState.REVERTED, at)


def settled(
    fleet: Fleet,
    event: mv.MigrationCompleted | mv.MigrationReverted,
    state: MigrationState,
    at: Instant,
) -> None:
    """Close a migration that had begun, one way or the other."""
    touch(fleet, event.source, -1, 0)
    touch(fleet, event.target, 0, -1)
    container = fleet.containers[event.container]
    claim = "" if container.claim == event.migration else container.claim
    still = replace(container, target=None, migration=None, claim=claim)
    fleet.put(fleet.containers, container.id, still)
    detail = event.detail if isinstance(event, mv.MigrationReverted) else ""
    new = replace(
        fleet.migrations[event.migration],
        state=state,
        freeze_ms=event.freeze_ms,
        total_ms=event.total_ms,
        detail=detail,
        finished_at=at,
    )
    fleet.put_migration(new)
    fleet.retire(event.migration)


def abandoned(fleet: Fleet, event: mv.MigrationAbandoned, at: Instant) -> None:
    old = fleet.migrations[event.migration]
    container = fleet.containers.get(event.container)
    if container is not None:
        fleet.put(fleet.containers, container.id, replace(container, migration=None))
    state = MigrationState.ABANDONED
    fleet.put_migration(replace(old, state=state, detail=event.detail, finished_at=at))
    fleet.retire(old.id)


CHRONICLE: dict[type[Event], Callable[[Fleet, Any, Instant], None]] = (
    EVOLVE
    | AFTERMATH
    | SHIFTS
    | {
        op.OperationRequested: requested,
        op.OperationStarted: started,
        op.OperationWaiting: waiting,
        op.StepStarted: step_started,
        op.StepAdvanced: step_advanced,
        op.StepFinished: step_finished,
        op.DelayStarted: delay_started,
        op.OperationAsked: asked,
        op.OperationPaused: paused,
        op.OperationResumed: resumed,
        op.OperationCancelled: cancelled,
        op.RollbackStarted: rollback_started,
        op.OperationFinished: finished,
        mv.MigrationRequested: migration_requested,
        mv.MigrationWaiting: waits_on,
        mv.MigrationGranted: granted,
        mv.MigrationPhaseReached: phase_reached,
        mv.MigrationOverdue: overdue,
        mv.MigrationStopped: stopped,
        mv.MigrationReturning: returning,
        h.HostRemoved: host_removed,
        mv.MigrationCompleted: completed,
        mv.MigrationReverted: reverted,
        mv.MigrationAbandoned: abandoned,
    }
)


def evolve(fleet: Fleet, event: Fact, at: Instant) -> None:
    """Let `event`, which happened at `at`, change the fleet."""
    CHRONICLE[type(event)](fleet, event, at)


def missing() -> tuple[type[Event], ...]:
    """Return the events that nobody has said the meaning of; a test keeps this empty."""
    return tuple(fact for fact in FACTS if fact not in CHRONICLE)
