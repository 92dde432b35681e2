"""The saga of an operation: which step may begin, when, and when it is over.

Sequential: one step at a time, the next only when the last is healthy, after the delay, and only
while another container of the layer is operable; simultaneous: all at once. Nothing waits for
ever: a step that may not begin within ten minutes has failed.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from domain.availability import obstacle
from domain.chronicle import intrusive
from domain.container import Container
from domain.decider import NOTHING, Decision, Outcome
from domain.environment import Layer, LayerKey, LayerLimitsSet, LayerSoftwareSet
from domain.fleet import Fleet
from domain.layers import gone, removed
from domain.messages import (
    Accepted,
    Code,
    EnvironmentId,
    Event,
    Instant,
    LayerName,
    OperationId,
    Refusal,
)
from domain.operation import (
    ADMISSION_MAX_MS,
    AdvanceOperation,
    BeginOperation,
    CancelOperation,
    DelayStarted,
    Finished,
    Operation,
    OperationAsked,
    OperationCancelled,
    OperationFinished,
    OperationPaused,
    OperationRequested,
    OperationResumed,
    OperationStarted,
    OperationState,
    OperationWaiting,
    PauseOperation,
    Planned,
    ResumeOperation,
    RollbackStarted,
    StepFinished,
    StepKind,
    StepStarted,
)
from domain.operation import Outcome as StepOutcome
from domain.orders import Redeploy, Start
from domain.software import Software
from domain.tenancy import missing

STARTING = frozenset({StepKind.START, StepKind.RESTART, StepKind.REDEPLOY, StepKind.DEPLOY})
"""Steps that need a host that is there."""


def begin(fleet: Fleet, ask: BeginOperation) -> Outcome:
    """Start an operation, or put it behind the one that holds the layer."""
    key: LayerKey = (EnvironmentId(ask.environment), LayerName(ask.layer))
    layer = fleet.layers[key]
    operation = OperationId(f"op{fleet.next_number('operation')}")
    behind = layer.queue[-1] if layer.queue else layer.operation
    if behind is not None and not ask.queue:
        first = layer.operation or layer.queue[0]
        return Refusal(
            Code.OPERATION_BUSY,
            f"operation {first} works on {key[0]}/{key[1]}; wait for it"
            f" (restow op watch {first}), or let this one queue (queue=true)",
            "$.layer",
            {"operation": str(first)},
        )
    request = OperationRequested(
        operation,
        ask.kind,
        *key,
        ask.plan,
        ask.settings,
        behind,
        ask.before,
        ask.software,
        ask.after,
    )
    facts: tuple[Event, ...] = (request,)
    if behind is None and ask.after is None:
        facts = (request, *start(layer, operation, ask.software))
    return Decision(facts, answer=Accepted(operation=operation))


def start(layer: Layer, operation: OperationId, what: Software | None) -> tuple[Event, ...]:
    """Start an operation; from now on its layer's new containers run what it brings."""
    started = OperationStarted(operation)
    if what is None:
        return (started,)
    old = layer.software
    new = Software(what.image or old.image, what.application or old.application)
    if new == old:
        return (started,)
    return (started, LayerSoftwareSet(layer.environment, layer.name, new))


def find(fleet: Fleet, name: str) -> Operation | Refusal:
    """Return an operation that is not over."""
    operation = fleet.operations.get(OperationId(name))
    if operation is None:
        return missing("operation", name)
    if operation.state is OperationState.FINISHED:
        return Refusal(
            Code.OPERATION_ENDED,
            f"operation {name} is over: {operation.outcome}",
            "$.operation",
            {"outcome": operation.outcome},
        )
    return operation


def pause(fleet: Fleet, ask: PauseOperation) -> Outcome:
    operation = find(fleet, ask.operation)
    if isinstance(operation, Refusal):
        return operation
    if operation.paused:
        return NOTHING
    return Decision((OperationPaused(operation.id),), answer=Accepted(operation.id))


def resume(fleet: Fleet, ask: ResumeOperation) -> Outcome:
    operation = find(fleet, ask.operation)
    if isinstance(operation, Refusal):
        return operation
    if not operation.paused and operation.state is not OperationState.ASKING:
        return NOTHING
    return Decision((OperationResumed(operation.id),), answer=Accepted(operation.id))


def cancel(fleet: Fleet, ask: CancelOperation) -> Outcome:
    operation = find(fleet, ask.operation)
    if isinstance(operation, Refusal):
        return operation
    if operation.cancelled:
        return NOTHING
    return Decision((OperationCancelled(operation.id),), answer=Accepted(operation.id))


def advance(fleet: Fleet, ask: AdvanceOperation, now: Instant) -> Outcome:
    """Do the one next thing that an operation can do now; a later look does the next."""
    operation = fleet.operations.get(OperationId(ask.operation))
    if operation is None or operation.state is OperationState.FINISHED:
        return NOTHING
    unborn = never_started(fleet, operation)
    if unborn:
        again = AdvanceOperation(operation=operation.id)
        return Decision(tuple(fact for one in unborn for fact in removed(fleet, one)), (again,))
    if operation.state is OperationState.QUEUED:
        return Decision(from_queue(fleet, operation))
    return Decision(move(fleet, operation, now))


def never_started(fleet: Fleet, operation: Operation) -> tuple[Container, ...]:
    """Return the containers that a cancelled operation was to start and now never will.

    Those that ran before, and stand still, keep all they have: they can be started again. So do
    those that another operation starts or will start, and those that may yet start: answers can be
    late.
    """
    if not operation.cancelled:
        return ()
    layer = fleet.layers[operation.key]
    others = (fleet.operations[name] for name in (layer.operation, *layer.queue) if name)
    theirs = {p.container for one in others if one != operation for p in starts(one)}
    ordered = {one.container for one in fleet.orders.values() if isinstance(one.work, Start)}
    wanted = (p.container for p in starts(operation) if p.container not in theirs | ordered)
    here = (fleet.containers[name] for name in wanted if name in fleet.containers)
    return tuple(one for one in here if one.unborn and one.claim in {"", one.migration})


def starts(operation: Operation) -> Iterator[Planned]:
    """Give the starts that an operation has still to do."""
    yield from (planned for planned in operation.todo if planned.kind is StepKind.START)


def from_queue(fleet: Fleet, operation: Operation) -> tuple[Event, ...]:
    """Start a queued operation whose turn it is; end one that was cancelled while it waited."""
    layer = fleet.layers[operation.key]
    if operation.cancelled:
        return (over(operation),)
    if layer.operation is not None or layer.queue[:1] != (operation.id,):
        return ()
    first = fleet.operations.get(operation.after) if operation.after else None
    if first is not None and first.state is not OperationState.FINISHED:
        return ()
    return start(layer, operation.id, operation.software)


def move(fleet: Fleet, operation: Operation, now: Instant) -> tuple[Event, ...]:
    if operation.settings.sequential and operation.steps:
        return ()
    if must_roll_back(operation):
        return roll_back(fleet, operation)
    todo = still_to_do(operation)
    if not todo:
        return () if operation.steps else finished(fleet, operation)
    asking = operation.state is OperationState.ASKING and not operation.cancelled
    if operation.paused or asking:
        return ()
    if operation.settings.sequential:
        return next_step(fleet, operation, todo[0], now)
    return all_steps(fleet, operation, todo, now)


def failures(operation: Operation) -> int:
    return sum(step.outcome is StepOutcome.FAILED for step in operation.over)


def must_roll_back(operation: Operation) -> bool:
    """Say whether a failure is to be undone, and the time has come."""
    wanted = operation.settings.on_failure == "rollback" and not operation.rolling_back
    return wanted and not operation.steps and failures(operation) > 0


def roll_back(fleet: Fleet, operation: Operation) -> tuple[Event, ...]:
    """Undo what was done, newest first; new containers are to be as the old ones were."""
    undo = tuple(
        Planned(step.planned.container, step.planned.kind, *step.before)
        for step in reversed(operation.over)
        if was_resized(fleet, step) or was_redeployed(fleet, step)
    )
    started = RollbackStarted(operation.id, (*undo, *retiring(operation)))
    layer = fleet.layers[operation.key]
    if operation.previous is not None and operation.previous != layer.software:
        return (started, LayerSoftwareSet(layer.environment, layer.name, operation.previous))
    meant = {(p.planned.reserved, p.planned.limit) for p in operation.over}
    if operation.before is None or (layer.spec.reserved, layer.limit) not in meant:
        return (started,)
    return (started, LayerLimitsSet(layer.environment, layer.name, *operation.before))


def was_resized(fleet: Fleet, step: Finished) -> bool:
    """Say whether a step left its container with other limits than before, done or not."""
    container = fleet.containers.get(step.planned.container)
    if container is None or step.planned.kind is not StepKind.RESIZE or not any(step.before):
        return False
    return (container.reserved, container.limit) != step.before


def was_redeployed(fleet: Fleet, step: Finished) -> bool:
    """Say whether a container runs other software than before its step, or may yet do so."""
    container = fleet.containers.get(step.planned.container)
    if container is None or step.ran is None or step.planned.surge:
        return False
    if container.software != step.ran:
        return True
    orders = fleet.orders.values()
    return any(o.container == container.id and isinstance(o.work, Redeploy) for o in orders)


def retiring(operation: Operation) -> tuple[Planned, ...]:
    """Return the steps that must be taken whatever happened: the surge container goes again."""
    return tuple(p for p in operation.todo if p.surge and p.kind is StepKind.REMOVE)


def still_to_do(operation: Operation) -> tuple[Planned, ...]:
    stopped = failures(operation) and operation.settings.on_failure != "continue"
    if operation.cancelled or (stopped and not operation.rolling_back):
        return retiring(operation)
    return operation.todo


def next_step(
    fleet: Fleet, operation: Operation, planned: Planned, now: Instant
) -> tuple[Event, ...]:
    """Rest, ask, wait or begin: what stands between the last step and the next."""
    if operation.state is OperationState.DELAYING and now < operation.until:
        return ()
    if not operation.rested and not planned.surge and not surging(operation):
        if operation.settings.ask:
            return (OperationAsked(operation.id),)
        until = Instant(operation.rest_from + operation.settings.delay_ms)
        if until > now:
            return (DelayStarted(operation.id, until),)
    return start_step(fleet, operation, planned, now)


def surging(operation: Operation) -> bool:
    """Say whether the last step was the start of the surge container, which has no delay."""
    return bool(operation.over) and operation.over[-1].planned.surge


def all_steps(
    fleet: Fleet, operation: Operation, todo: tuple[Planned, ...], now: Instant
) -> tuple[Event, ...]:
    """Begin every step that may begin; those that may not are looked at again later.

    Where one is given up, and others are not to go on then, nothing begins beside it.
    """
    facts: list[Event] = []
    for planned in todo:
        begun = start_step(fleet, operation, planned, now)
        waits = bool(begun) and isinstance(begun[0], OperationWaiting)
        if not waits:
            facts.extend(begun)
        elif not facts and not operation.steps:
            return begun
    goes_on = operation.settings.on_failure == "continue" or operation.rolling_back
    given_up = tuple(fact for fact in facts if is_failure(fact))
    return tuple(facts) if goes_on or not given_up else given_up


def is_failure(fact: Event) -> bool:
    return isinstance(fact, StepFinished) and fact.outcome is StepOutcome.FAILED


def start_step(
    fleet: Fleet, operation: Operation, planned: Planned, now: Instant
) -> tuple[Event, ...]:
    container = fleet.containers.get(planned.container)
    if container is None:
        return (StepFinished(operation.id, planned.container, StepOutcome.SKIPPED, "it is gone"),)
    if planned.kind is StepKind.START and container.operable:
        return (StepFinished(operation.id, planned.container, StepOutcome.SKIPPED, "it runs"),)
    why = not_now(fleet, operation, planned, container)
    if not why:
        return (StepStarted(operation.id, planned.container, planned.kind),)
    if operation.state is not OperationState.WAITING:
        until = Instant(now + ADMISSION_MAX_MS)
        return (OperationWaiting(operation.id, planned.container, why, until),)
    if now < operation.until:
        return ()
    return (StepFinished(operation.id, planned.container, StepOutcome.FAILED, why),)


def not_now(fleet: Fleet, operation: Operation, planned: Planned, container: Container) -> str:
    """Say why a step may not begin now: its container is taken, or is the last one operable."""
    if container.claim and container.claim != operation.id:
        return f"{container.claim} has {container.id}"
    kind = planned.kind
    if kind in STARTING and fleet.hosts[container.host].lost:
        return f"host {container.host} of {container.id} is lost"
    if kind is StepKind.START or not intrusive(operation, kind):
        return ""
    if operation.settings.accept_downtime:
        return ""
    return obstacle(fleet, container)


def counts(operation: Operation) -> tuple[int, int, int]:
    """Return how many steps were done, failed and skipped."""
    outcomes = [step.outcome for step in operation.over]
    return (
        outcomes.count(StepOutcome.DONE),
        outcomes.count(StepOutcome.FAILED),
        outcomes.count(StepOutcome.SKIPPED),
    )


def over(operation: Operation) -> OperationFinished:
    done, bad, skipped = counts(operation)
    outcome = "done"
    if operation.cancelled:
        outcome = "cancelled"
    elif bad:
        outcome = "rolled_back" if operation.rolling_back else "failed"
    why = next((s.detail for s in operation.over if s.outcome is StepOutcome.FAILED), "")
    return OperationFinished(operation.id, outcome, done, bad, skipped, why)


def finished(fleet: Fleet, operation: Operation) -> tuple[Event, ...]:
    """End the operation, and with the last removal its layer and environment."""
    layer = fleet.layers[operation.key]
    queue = tuple(name for name in layer.queue if name != operation.id)
    ends = () if queue else gone(fleet, replace(layer, queue=()))
    return (over(operation), *ends)
