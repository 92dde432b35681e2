"""One step of an operation: a container is taken out, worked on, checked, and put back.

    opening -> unrouting -> draining -> working -> checking -> routing -> finished

Which stages a step has depends on its kind; each waits for the answer to an order, for health, or
for its deadline. What cannot be confirmed fails the step, it is never guessed. A restart that
failed but left the old container running puts that one back into service.
"""

from collections.abc import Callable

import msgspec

from domain.container import Container, ContainerHalted, ContainerRemoved, ContainerScaled
from domain.decider import Decision, Outcome
from domain.fleet import Fleet
from domain.growing import overtaken, sized, start
from domain.growth import GROWTH_MAX_MS, Aim
from domain.messages import ContainerId, Event, HostId, Instant, OperationId, OrderId, Refusal
from domain.operation import (
    GRACE_MS,
    HEALTH_MAX_MS,
    TTL_MS,
    AdvanceStep,
    Operation,
    Stage,
    Step,
    StepAdvanced,
    StepFinished,
    StepKind,
)
from domain.operation import Outcome as StepOutcome
from domain.orders import (
    ORDER_LIFE_MS,
    ROUTER,
    AnyWork,
    Halt,
    OrderIssued,
    Redeploy,
    Restart,
    Start,
    Stop,
    next_order,
)
from domain.routing import route_in, route_out
from domain.scaling import grow
from domain.software import Software

ANSWER_MAX_MS = ORDER_LIFE_MS + 10_000
"""How long a step waits for the answer to an order: its life, and time to say so."""


class At(msgspec.Struct, frozen=True):
    """A step in its place and time: all that its stages look at."""

    fleet: Fleet
    operation: Operation
    step: Step
    container: Container
    now: Instant


def advance_step(fleet: Fleet, ask: AdvanceStep, now: Instant) -> Outcome:
    """Move a step on from the stage that just ended, well or (with `failed`) not."""
    operation = fleet.operations.get(OperationId(ask.operation))
    step = operation.step(ContainerId(ask.container)) if operation else None
    if operation is None or step is None:
        return Decision()
    container = fleet.containers.get(ContainerId(ask.container))
    if container is None:
        return Decision((finish(operation.id, step, *gone(step.planned.kind)),))
    at = At(fleet, operation, step, container, now)
    return Decision(LEAVE[step.stage](at, ask.failed))


def gone(kind: StepKind) -> tuple[StepOutcome, str]:
    """Say what a step comes to whose container is not there any more."""
    if kind is StepKind.REMOVE:
        return StepOutcome.DONE, ""
    return StepOutcome.SKIPPED, "it is gone"


def opened(at: At) -> tuple[Event, ...]:
    """Return the first stage of a step that has just begun."""
    if leaves_dns(at):
        out = route_out(at.fleet, at.container, keep_last=not may_be_last(at))
        return order(at, Stage.UNROUTING, ROUTER, out)
    until = Instant(at.container.unrouted_at + TTL_MS + GRACE_MS)
    if at.container.running and ends_service(at.step.planned.kind) and at.now < until:
        return (enter(at, Stage.DRAINING, until),)
    return work(at)


def ends_service(kind: StepKind) -> bool:
    """Say whether the process ends: not while anybody may still know the container from DNS.

    It may have left DNS just now, by an order that an earlier step gave up waiting for.
    """
    return kind not in {StepKind.START, StepKind.RESIZE}


def leaves_dns(at: At) -> bool:
    """Say whether the step takes its container out of DNS first."""
    kind = at.step.planned.kind
    if not at.container.routed or kind is StepKind.START:
        return False
    removed = at.operation.settings.remove_from_dns or kind in {StepKind.REMOVE, StepKind.STOP}
    if not removed or may_be_last(at):
        return removed
    layer = at.fleet.layers[at.operation.key]
    others = (at.fleet.containers[name] for name in layer.containers if name != at.container.id)
    return any(other.findable and not other.claim for other in others)


def may_be_last(at: At) -> bool:
    """Say whether the layer's last record may go: else it never does.

    With the whole layer its name goes too, when its environment is stopped, or where downtime was
    accepted for a removal.
    """
    kind = at.step.planned.kind
    if kind is StepKind.STOP or at.fleet.layers[at.operation.key].leaving:
        return True
    return kind is StepKind.REMOVE and at.operation.settings.accept_downtime


def order(at: At, stage: Stage, to: HostId, what: AnyWork, failed: str = "") -> tuple[Event, ...]:
    """Enter a stage by giving an order."""
    number: OrderId = next_order(at.fleet.next_number("order"))
    expires = Instant(at.now + ORDER_LIFE_MS)
    issued = OrderIssued(number, to, at.container.id, what, at.operation.id, expires)
    until = Instant(at.now + ANSWER_MAX_MS)
    return (issued, enter(at, stage, until, number, failed))


def enter(
    at: At, stage: Stage, until: Instant, number: OrderId | None = None, failed: str = ""
) -> StepAdvanced:
    unrouted = stage is Stage.DRAINING
    return StepAdvanced(
        at.operation.id, at.container.id, stage, until, number, unrouted=unrouted, failed=failed
    )


def finish(
    operation: OperationId, step: Step, outcome: StepOutcome, detail: str = ""
) -> StepFinished:
    return StepFinished(operation, step.planned.container, outcome, detail)


def failed(at: At, detail: str) -> tuple[Event, ...]:
    return (finish(at.operation.id, at.step, StepOutcome.FAILED, detail),)


def done(at: At) -> tuple[Event, ...]:
    """Finish the step: well, or as the failure that it has been putting right."""
    if at.step.failed:
        return failed(at, at.step.failed)
    return (finish(at.operation.id, at.step, StepOutcome.DONE, what_was_cut(at)),)


def what_was_cut(at: At) -> str:
    """Say how many sessions this step ended that would not end by themselves, or ""."""
    cut = at.container.cut if at.step.unrouted else 0
    return f"{cut} session{'s' if cut > 1 else ''} cut" if cut > 0 else ""


def work(at: At) -> tuple[Event, ...]:
    """Enter the stage in which the host does what the step is about, if there is a host."""
    lost = at.fleet.hosts[at.container.host].lost
    return without_host(at) if lost else with_host(at)


def with_host(at: At) -> tuple[Event, ...]:
    container = at.container
    match at.step.planned.kind:
        case StepKind.START:
            if container.running:
                return checked(at)
            return order(at, Stage.WORKING, container.host, start_of(at, own(at)))
        case StepKind.RESTART:
            what = Restart() if container.running else start_of(at, own(at))
            return order(at, Stage.WORKING, container.host, what)
        case StepKind.REDEPLOY | StepKind.DEPLOY:
            return redeploy(at, wanted(at))
        case StepKind.STOP:
            return order(at, Stage.WORKING, container.host, Halt())
        case StepKind.REMOVE:
            return order(at, Stage.WORKING, container.host, Stop())
        case StepKind.RESIZE:
            return resize(at)


def own(at: At) -> Software:
    """Return what the container runs, or is to run when it is started for the first time."""
    return at.container.software or at.fleet.layers[at.operation.key].software


def wanted(at: At) -> Software:
    """Return what a redeployed container is to run; on the way back, what it ran before."""
    mine, asked = own(at), at.operation.software
    if at.operation.rolling_back:
        over = at.operation.over
        return next((o.ran for o in over if o.planned.container == at.container.id and o.ran), mine)
    if asked is None:
        return mine
    return Software(asked.image or mine.image, asked.application or mine.application)


def redeploy(at: At, what: Software, failed_with: str = "") -> tuple[Event, ...]:
    """Order another container in its place; where none runs, that one is started."""
    to = at.container.host
    if at.fleet.hosts[to].lost:
        return failed(at, failed_with or f"host {to} is lost")
    if at.container.running:
        return order(at, Stage.WORKING, to, Redeploy(what.image, what.application), failed_with)
    return order(at, Stage.WORKING, to, start_of(at, what), failed_with)


def without_host(at: At) -> tuple[Event, ...]:
    """Finish on a lost host: what was to go or to stop did so with it, nothing else can be done."""
    match at.step.planned.kind:
        case StepKind.REMOVE:
            return (ContainerRemoved(at.container.id), *done(at))
        case StepKind.STOP:
            return (ContainerHalted(at.container.id), *done(at))
        case _:
            return failed(at, f"host {at.container.host} is lost")


def start_of(at: At, what: Software) -> Start:
    return start_work(at.fleet, at.container, what)


def start_work(fleet: Fleet, container: Container, what: Software) -> Start:
    """Return the order's work that starts a container as its layer is now."""
    spec = fleet.layers[container.environment, container.layer].spec
    return Start(
        container.name,
        what.image,
        container.allocated,
        container.limit,
        container.disk_gib,
        container.address,
        spec.variables,
        spec.volumes,
        spec.ports,
        what.application,
        spec.on_lost == "keep",
        fleet.environments[container.environment].network,
    )


def resize(at: At) -> tuple[Event, ...]:
    """Set the limits; the order to the host follows from the new size by itself."""
    planned = at.step.planned
    aim = Aim(planned.reserved, planned.limit)
    outcome = grow(at.fleet, at.container, sized(at.container, aim))
    if isinstance(outcome, Refusal):
        return make_room_for(at, aim)
    resized = [fact for fact in outcome.facts if isinstance(fact, ContainerScaled)]
    over = overtaken(at.fleet, at.container)
    now = (at.container.applied, at.container.applied_limit)
    if resized and (not at.container.running or (resized[0].allocated, resized[0].limit) == now):
        return (*over, *outcome.facts, *resized_well(at))
    longest = ANSWER_MAX_MS if resized else GROWTH_MAX_MS + ANSWER_MAX_MS
    return (*over, *outcome.facts, enter(at, Stage.WORKING, Instant(at.now + longest)))


def make_room_for(at: At, aim: Aim) -> tuple[Event, ...]:
    """Wait until others were moved away, or the container itself was; fail where neither helps."""
    over = overtaken(at.fleet, at.container)
    started = start(at.fleet, at.container, aim, at.now, at.operation.id)
    if isinstance(started, Refusal):
        return restore(at, started.detail)
    until = Instant(at.now + GROWTH_MAX_MS + ANSWER_MAX_MS)
    return (*over, *started, enter(at, Stage.WORKING, until))


def restore(at: At, detail: str) -> tuple[Event, ...]:
    """Put a container that still serves back into DNS if this step took it out, then fail."""
    if at.step.unrouted and not at.container.halted:
        return order(at, Stage.ROUTING, ROUTER, route_in(at.fleet, at.container), detail)
    return failed(at, detail)


def put_back(at: At) -> tuple[Event, ...]:
    """Make the container findable again (or, being healthy, for the first time), else finish.

    One that was halted meanwhile, by an order of long ago, is put back when it is started again.
    """
    first = at.container.healthy and not at.container.introduced
    again = at.step.unrouted or at.step.planned.kind is StepKind.START
    if first or (again and not at.container.halted):
        return order(at, Stage.ROUTING, ROUTER, route_in(at.fleet, at.container))
    return done(at)


def leave_opening(at: At, why: str) -> tuple[Event, ...]:
    return failed(at, why) if why else opened(at)


def leave_unrouting(at: At, why: str) -> tuple[Event, ...]:
    if why:
        unsure = f"its removal from DNS could not be confirmed: {why}"
        if at.container.halted:  # by an order of long ago; put back when it is started again
            return failed(at, unsure)
        return order(at, Stage.ROUTING, ROUTER, route_in(at.fleet, at.container), unsure)
    return (enter(at, Stage.DRAINING, Instant(at.now + TTL_MS + GRACE_MS)),)


def leave_draining(at: At, why: str) -> tuple[Event, ...]:
    return failed(at, why) if why else work(at)


def leave_working(at: At, why: str) -> tuple[Event, ...]:
    kind = at.step.planned.kind
    if why:
        return put_old_back(at, f"{kind} failed: {why}")
    if kind is StepKind.STOP:
        return done(at)
    return resized_well(at) if kind is StepKind.RESIZE else checked(at)


def resized_well(at: At) -> tuple[Event, ...]:
    """Finish, or put back when it is healthy what left DNS: it may have fallen ill meanwhile."""
    return checked(at) if at.step.unrouted and at.container.running else put_back(at)


def checked(at: At) -> tuple[Event, ...]:
    """Put the container back when it is healthy."""
    if at.container.healthy:
        return put_back(at)
    return (enter(at, Stage.CHECKING, Instant(at.now + HEALTH_MAX_MS)),)


def put_old_back(at: At, why: str) -> tuple[Event, ...]:
    """After work that failed: the old container serves on, or is started again where it is lost."""
    if at.step.ran and lost(at):
        return redeploy(at, at.step.ran, why)
    if not at.container.running or at.step.planned.kind is StepKind.START:
        return failed(at, at.step.failed or why)
    if at.container.healthy:
        return restore(at, why)
    return (enter(at, Stage.CHECKING, Instant(at.now + HEALTH_MAX_MS), failed=why),)


def lost(at: At) -> bool:
    """Say whether its host could not put the old container back, so that it is tried from here.

    A host that has not answered may yet do what it was told; nothing else is ordered before that.
    """
    unanswered = at.step.order in at.fleet.orders
    tried = bool(at.step.failed) or at.operation.rolling_back
    return not (at.container.running or unanswered or tried)


def leave_checking(at: At, why: str) -> tuple[Event, ...]:
    if why and goes_back(at):
        return redeploy(at, at.step.ran or own(at), why)
    if why and at.step.planned.kind is StepKind.RESIZE:  # nothing was ended: as it was before
        return restore(at, at.step.failed or why)
    if why:
        return failed(at, at.step.failed or why)
    return put_back(at)


def goes_back(at: At) -> bool:
    """Say whether the old container is to be put back for one that does not become healthy."""
    step = at.step
    changed = step.ran is not None and step.ran != at.container.software
    return changed and not step.failed and not at.operation.rolling_back


def leave_routing(at: At, why: str) -> tuple[Event, ...]:
    if why:
        return failed(at, f"its return into DNS could not be confirmed: {why}")
    return done(at)


LEAVE: dict[Stage, Callable[[At, str], tuple[Event, ...]]] = {
    Stage.OPENING: leave_opening,
    Stage.UNROUTING: leave_unrouting,
    Stage.DRAINING: leave_draining,
    Stage.WORKING: leave_working,
    Stage.CHECKING: leave_checking,
    Stage.ROUTING: leave_routing,
}


def overdue(step: Step) -> str:
    """Say what a passed deadline means for a stage: "" where it is what was waited for."""
    match step.stage:
        case Stage.DRAINING | Stage.OPENING:
            return ""
        case Stage.CHECKING:
            return f"not healthy within {HEALTH_MAX_MS // 1_000} s"
        case Stage.WORKING | Stage.UNROUTING | Stage.ROUTING:
            return f"no answer within {ANSWER_MAX_MS // 1_000} s"
