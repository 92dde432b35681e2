"""A deadline is state; that it has passed is told by the shell, as an ask.

`Fleet.deadlines` says when each saga must be looked at. The shell arms a timer from it and asks
`DeadlinePassed`; after a restart timers are armed again from the same state.
"""

from domain import dead
from domain.container import ReconcileSize
from domain.decider import NOTHING, Decision, Outcome
from domain.fleet import Fleet
from domain.growth import AdvanceGrowth
from domain.messages import Command, ContainerId, Instant, MigrationId, OperationId
from domain.migration import GrantMigration, MigrationState
from domain.moving import call_off
from domain.operation import AdvanceOperation, AdvanceStep
from domain.reactions import LOOK
from domain.step import overdue


class DeadlinePassed(Command, frozen=True, kw_only=True, tag="deadline.passed"):
    """The moment `due` that a saga waits for has passed. Internal."""

    saga: str
    due: Instant


def passed(fleet: Fleet, ask: DeadlinePassed, now: Instant) -> Outcome:
    """Let the saga look at what is due; a deadline that was moved meanwhile changes nothing."""
    if fleet.deadlines.get(ask.saga) != ask.due or ask.due > now:
        return NOTHING
    if ask.saga == dead.CLOCK:
        return dead.expire(fleet.dead, now)
    if ask.saga.startswith("size/"):
        container = ContainerId(ask.saga.removeprefix("size/"))
        return Decision(then=(ReconcileSize(container=container),))
    if ask.saga[:2] in LOOK:
        return Decision(then=(LOOK[ask.saga[:2]](ask.saga),))
    if ask.saga.startswith("mv"):
        return migration_due(fleet, MigrationId(ask.saga))
    if ask.saga.startswith("gr"):
        return Decision(then=(AdvanceGrowth(growth=ask.saga),))
    return operation_due(fleet, OperationId(ask.saga), now)


def migration_due(fleet: Fleet, name: MigrationId) -> Outcome:
    migration = fleet.migrations[name]
    if migration.state is MigrationState.WAITING:
        return Decision(then=(GrantMigration(migration=name),))
    why = f"no report within {migration.deadline_ms // 1_000} s and the slack after it"
    return Decision(call_off(fleet, migration, why))


def operation_due(fleet: Fleet, name: OperationId, now: Instant) -> Outcome:
    """Move on every step whose deadline has passed, then the operation itself."""
    operation = fleet.operations[name]
    asks: list[Command] = [
        AdvanceStep(operation=name, container=step.planned.container, failed=overdue(step))
        for step in operation.steps
        if step.until and step.until <= now
    ]
    if operation.until and operation.until <= now:
        asks.append(AdvanceOperation(operation=name))
    return Decision(then=tuple(asks))
