"""The lines of operations and migrations, folded from their events: what was when, and how long.

The region forgets when a stage began, and soon the whole story; this does not.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from domain import migration as mv
from domain import operation as op
from domain.messages import Event, Instant
from domain.migration import MigrationState
from domain.operation import OperationState, Outcome, Planned
from projections.feed import Placed
from projections.lines import NEVER, MigrationLine, OperationLine, PhaseLine, StepLine


def operation_requested(event: op.OperationRequested, placed: Placed) -> OperationLine:
    """Return the line of a new operation."""
    commit, settings = placed.commit, event.settings
    return OperationLine(
        id=event.operation,
        kind=event.kind,
        environment=event.environment,
        layer=event.layer,
        state=OperationState.QUEUED.value,
        outcome="",
        detail=f"behind {event.behind}" if event.behind else "",
        sequential=settings.sequential,
        delay_ms=settings.delay_ms,
        accept_downtime=settings.accept_downtime,
        paused=False,
        cancelled=False,
        rolling_back=False,
        until=NEVER,
        todo=len(event.plan),
        done=0,
        failed=0,
        skipped=0,
        requested_at=commit.at,
        started_at=NEVER,
        finished_at=NEVER,
        ask=commit.ask,
        actor=commit.actor,
        reason=commit.reason,
        version=placed.event.version,
        steps=to_come(event.plan),
    )


def to_come(plan: tuple[Planned, ...]) -> tuple[StepLine, ...]:
    return tuple(StepLine(step.container, step.kind.value) for step in plan)


def under_way(step: StepLine) -> bool:
    return step.started_at > NEVER and not step.outcome


def waiting(step: StepLine) -> bool:
    return not step.started_at and not step.outcome


def with_step(
    line: OperationLine, is_it: Callable[[StepLine], bool], change: Callable[[StepLine], StepLine]
) -> OperationLine:
    """Change the first step that `is_it`, and count anew."""
    place = next((n for n, step in enumerate(line.steps) if is_it(step)), None)
    if place is None:
        return line
    changed = (*line.steps[:place], change(line.steps[place]), *line.steps[place + 1 :])
    return counted(replace(line, steps=changed))


def counted(line: OperationLine) -> OperationLine:
    """Return the line with the counts that its steps have."""
    outcomes = [step.outcome for step in line.steps]
    return replace(
        line,
        todo=sum(waiting(step) for step in line.steps),
        done=outcomes.count(Outcome.DONE.value),
        failed=outcomes.count(Outcome.FAILED.value),
        skipped=outcomes.count(Outcome.SKIPPED.value),
    )


def running(line: OperationLine, **changes: Any) -> OperationLine:
    return replace(line, state=OperationState.RUNNING.value, detail="", until=NEVER, **changes)


def started(line: OperationLine, _event: op.OperationStarted, at: Instant) -> OperationLine:
    return running(line, started_at=at)


def waits(line: OperationLine, event: op.OperationWaiting, _at: Instant) -> OperationLine:
    state = OperationState.WAITING.value
    return replace(line, state=state, detail=event.why, until=event.until)


def step_started(line: OperationLine, event: op.StepStarted, at: Instant) -> OperationLine:
    stage = op.Stage.OPENING.value
    return with_step(
        running(line),
        lambda step: waiting(step) and (step.container, step.kind) == (event.container, event.kind),
        lambda step: replace(step, started_at=at, stage=stage, since=at, stages=((stage, at),)),
    )


def step_advanced(line: OperationLine, event: op.StepAdvanced, at: Instant) -> OperationLine:
    stage = event.stage.value

    def entered(step: StepLine) -> StepLine:
        stages = (*step.stages, (stage, at))
        detail = event.failed or step.detail
        return replace(step, stage=stage, since=at, stages=stages, detail=detail)

    return with_step(
        line, lambda step: under_way(step) and step.container == event.container, entered
    )


def step_finished(line: OperationLine, event: op.StepFinished, at: Instant) -> OperationLine:
    """Close the step under way; one that is skipped may never have begun."""
    begun = any(under_way(s) and s.container == event.container for s in line.steps)
    is_it = under_way if begun else waiting

    def over(step: StepLine) -> StepLine:
        detail = event.detail or step.detail
        return replace(
            step, stage="", since=at, outcome=event.outcome.value, detail=detail, finished_at=at
        )

    return with_step(
        running(line), lambda step: is_it(step) and step.container == event.container, over
    )


def delays(line: OperationLine, event: op.DelayStarted, _at: Instant) -> OperationLine:
    return replace(line, state=OperationState.DELAYING.value, until=event.until)


def asks(line: OperationLine, _event: op.OperationAsked, _at: Instant) -> OperationLine:
    return replace(line, state=OperationState.ASKING.value, until=NEVER)


def paused(line: OperationLine, _event: op.OperationPaused, _at: Instant) -> OperationLine:
    return replace(line, paused=True)


def resumed(line: OperationLine, _event: op.OperationResumed, _at: Instant) -> OperationLine:
    asked = line.state == OperationState.ASKING
    return replace(line, paused=False, state=OperationState.RUNNING.value if asked else line.state)


def cancelled(line: OperationLine, _event: op.OperationCancelled, _at: Instant) -> OperationLine:
    return replace(line, cancelled=True, paused=False)


def rolls_back(line: OperationLine, event: op.RollbackStarted, _at: Instant) -> OperationLine:
    """Replace what was still to do by the steps back."""
    begun = tuple(step for step in line.steps if not waiting(step))
    return counted(replace(line, rolling_back=True, steps=(*begun, *to_come(event.plan))))


def finished(line: OperationLine, event: op.OperationFinished, at: Instant) -> OperationLine:
    return replace(
        line,
        state=OperationState.FINISHED.value,
        outcome=event.outcome,
        detail=event.detail,
        until=NEVER,
        finished_at=at,
    )


OPERATION: Mapping[type[Event], Callable[[OperationLine, Any, Instant], OperationLine]] = {
    op.OperationStarted: started,
    op.OperationWaiting: waits,
    op.StepStarted: step_started,
    op.StepAdvanced: step_advanced,
    op.StepFinished: step_finished,
    op.DelayStarted: delays,
    op.OperationAsked: asks,
    op.OperationPaused: paused,
    op.OperationResumed: resumed,
    op.OperationCancelled: cancelled,
    op.RollbackStarted: rolls_back,
    op.OperationFinished: finished,
}


def migration_requested(event: mv.MigrationRequested, placed: Placed) -> MigrationLine:
    """Return the line of a new migration."""
    commit = placed.commit
    return MigrationLine(
        id=event.migration,
        container=event.container,
        source=event.source,
        target=event.target or "",
        state=MigrationState.WAITING.value,
        waits_for=event.waits_for,
        detail="",
        deadline_ms=event.deadline_ms,
        phases=(),
        freeze_ms=0,
        total_ms=0,
        requested_at=commit.at,
        granted_at=NEVER,
        finished_at=NEVER,
        ask=commit.ask,
        actor=commit.actor,
        reason=commit.reason,
        version=placed.event.version,
    )


def granted(line: MigrationLine, event: mv.MigrationGranted, at: Instant) -> MigrationLine:
    return replace(
        line,
        state=MigrationState.MOVING.value,
        source=event.source,
        target=event.target,
        waits_for="",
        granted_at=at,
    )


def waits_on(line: MigrationLine, event: mv.MigrationWaiting, _at: Instant) -> MigrationLine:
    return replace(line, waits_for=event.waits_for)


def reached(line: MigrationLine, event: mv.MigrationPhaseReached, _at: Instant) -> MigrationLine:
    return replace(line, phases=(*line.phases, PhaseLine(event.phase, event.after_ms)))


def overdue(line: MigrationLine, event: mv.MigrationOverdue, _at: Instant) -> MigrationLine:
    return replace(line, state=MigrationState.CALLING_OFF.value, detail=event.why)


def stopped(line: MigrationLine, _event: mv.MigrationStopped, _at: Instant) -> MigrationLine:
    return line


def returning(line: MigrationLine, event: mv.MigrationReturning, _at: Instant) -> MigrationLine:
    return replace(line, detail=event.detail)


def completed(line: MigrationLine, event: mv.MigrationCompleted, at: Instant) -> MigrationLine:
    return replace(
        line,
        state=MigrationState.COMPLETED.value,
        detail="",
        freeze_ms=event.freeze_ms,
        total_ms=event.total_ms,
        finished_at=at,
    )


def reverted(line: MigrationLine, event: mv.MigrationReverted, at: Instant) -> MigrationLine:
    return replace(
        line,
        state=MigrationState.REVERTED.value,
        detail=event.detail,
        freeze_ms=event.freeze_ms,
        total_ms=event.total_ms,
        finished_at=at,
    )


def abandoned(line: MigrationLine, event: mv.MigrationAbandoned, at: Instant) -> MigrationLine:
    state = MigrationState.ABANDONED.value
    return replace(line, state=state, detail=event.detail, finished_at=at)


MIGRATION: Mapping[type[Event], Callable[[MigrationLine, Any, Instant], MigrationLine]] = {
    mv.MigrationGranted: granted,
    mv.MigrationPhaseReached: reached,
    mv.MigrationWaiting: waits_on,
    mv.MigrationOverdue: overdue,
    mv.MigrationStopped: stopped,
    mv.MigrationReturning: returning,
    mv.MigrationCompleted: completed,
    mv.MigrationReverted: reverted,
    mv.MigrationAbandoned: abandoned,
}


def next_operation(line: OperationLine, placed: Placed) -> OperationLine:
    """Return the line of an operation after one of its events."""
    fact = placed.event.fact
    changed = OPERATION[type(fact)](line, fact, placed.commit.at)
    return replace(changed, version=placed.event.version)


def next_migration(line: MigrationLine, placed: Placed) -> MigrationLine:
    """Return the line of a migration after one of its events."""
    fact = placed.event.fact
    changed = MIGRATION[type(fact)](line, fact, placed.commit.at)
    return replace(changed, version=placed.event.version)
