"""The saga of a recovery: who is restarted next, where, and what became of each.

A host that is lost is fenced, so nothing needs to be stopped there. A host that is reachable is
another thing: a container leaves one only when that host says that it does not run there. An order
to start is therefore never given up: it is answered, or its host is lost as well.
"""

from msgspec.structs import replace

from domain.availability import operable
from domain.container import Container
from domain.decider import NOTHING, Decision, Outcome
from domain.fleet import Fleet
from domain.host import unknown
from domain.loss import RecoverHost
from domain.messages import (
    Accepted,
    Command,
    ContainerId,
    Event,
    HostId,
    Instant,
    RecoveryId,
    Refusal,
    in_order,
    number_of,
)
from domain.operation import HEALTH_MAX_MS, StepKind
from domain.orders import ORDER_LIFE_MS, ROUTER, OrderIssued, next_order
from domain.placement import place, wish_for
from domain.recovery import (
    AT_ONCE_MAX,
    LEFT,
    MEMORY_MAX,
    MEMORY_MS,
    TRIES_MAX,
    WAIT_MAX_MS,
    AdvanceCase,
    AdvanceRecovery,
    BeginRecovery,
    Case,
    ContainerReplaced,
    Fallen,
    Fate,
    Recovery,
    RecoveryAdvanced,
    RecoveryBegun,
    RecoveryEnded,
    RecoveryFailed,
    RecoveryFinished,
    RecoveryStarting,
    RecoveryWaiting,
    Stage,
)
from domain.routing import route_in
from domain.scaling import at_work
from domain.step import start_work

Facts = tuple[Event, ...]


def recover(fleet: Fleet, ask: RecoverHost) -> Outcome:
    """Begin another recovery of a host, on an operator's word."""
    host = fleet.hosts.get(HostId(ask.host))
    if host is None:
        return unknown(HostId(ask.host))
    return begin(fleet, BeginRecovery(host=host.id, asked=True, reason=ask.reason))


def begin(fleet: Fleet, ask: BeginRecovery) -> Outcome:
    """Begin to restart what a host carried, unless that is under way; nothing if nothing fell."""
    host = HostId(ask.host)
    going_on = any(one.host == host and not one.finished_at for one in fleet.recoveries.values())
    plan = fallen(fleet, host)
    if going_on or not plan:
        return NOTHING
    recovery = RecoveryId(f"rc{fleet.next_number('recovery')}")
    begun = RecoveryBegun(recovery, host, plan, ask.asked, ask.reason)
    return Decision((begun,), answer=Accepted(recovery, containers=plan))


def fallen(fleet: Fleet, host: HostId) -> tuple[ContainerId, ...]:
    """Return what a host carries that does not run, and what was on its way to it.

    Those come first whose layer has the fewest left that serve, then the oldest.
    """
    lost = fleet.hosts[host].lost
    down = [
        one
        for one in fleet.containers.values()
        if (one.host == host and not one.running and (lost or not one.halted))
        or (one.target == host and lost)
    ]

    def urgency(one: Container) -> tuple[int, int]:
        layer = fleet.layers[one.environment, one.layer]
        return operable(fleet, layer), number_of(one.id)

    return tuple(one.id for one in sorted(down, key=urgency))


def advance(fleet: Fleet, ask: AdvanceRecovery, now: Instant) -> Outcome:
    """Start the next container that can be started now; or wait, or be over."""
    recovery = fleet.recoveries.get(RecoveryId(ask.recovery))
    if recovery is None or recovery.finished_at:
        return NOTHING
    overdue = tuple(
        AdvanceCase(
            recovery=recovery.id,
            container=case.fallen.container,
            order=case.order,
            failed=f"not healthy within {HEALTH_MAX_MS // 1_000} s",
        )
        for case in recovery.cases
        if case.until and case.until <= now
    )
    if overdue:
        return Decision(then=overdue)
    return Decision(next_of(fleet, recovery, now))


def next_of(fleet: Fleet, recovery: Recovery, now: Instant) -> Facts:
    if not recovery.todo:
        return () if recovery.cases else finished(recovery)
    late = 0 < recovery.until <= now
    why = ""
    for one in recovery.todo:
        facts = look(fleet, recovery, one, now)
        if not isinstance(facts, str):
            return facts
        if late:
            return (RecoveryEnded(recovery.id, one.container, Fate.UNPLACED, detail=facts),)
        why = why or facts
    if recovery.until or recovery.cases:
        return ()
    return (RecoveryWaiting(recovery.id, why, Instant(now + WAIT_MAX_MS)),)


def finished(recovery: Recovery) -> Facts:
    left = tuple(one.container for one in recovery.over if one.fate in LEFT)
    restarted = sum(one.fate is Fate.RESTARTED for one in recovery.over)
    outcome = "failed" if left else "done"
    return (RecoveryFinished(recovery.id, outcome, restarted, left),)


def look(fleet: Fleet, recovery: Recovery, one: Fallen, now: Instant) -> Facts | str:
    """Return what can be done for a container now, or what it waits for."""
    container = fleet.containers.get(one.container)
    if container is None:
        return (RecoveryEnded(recovery.id, one.container, Fate.GONE),)
    if container.target is not None:
        return f"it is not known yet how migration {container.migration} of {container.id} ended"
    if container.claim:
        return f"{container.claim} has {container.id}"
    if container.running:
        fate = Fate.ELSEWHERE if container.host != recovery.host else Fate.RESTARTED
        return (RecoveryEnded(recovery.id, container.id, fate, container.host, "it runs"),)
    if fleet.layers[container.environment, container.layer].leaving:
        return (RecoveryEnded(recovery.id, container.id, Fate.GONE, detail="its layer leaves"),)
    spare = spared(fleet, recovery, container, one, now)
    if spare is not None:
        return (spare,)
    if len(recovery.cases) >= AT_ONCE_MAX:
        return f"{len(recovery.cases)} others are being started (at most {AT_ONCE_MAX})"
    return start(fleet, recovery, container, one)


def spared(
    fleet: Fleet, recovery: Recovery, container: Container, one: Fallen, now: Instant
) -> RecoveryEnded | None:
    """Say that a container is left alone, and why; None if it is not."""
    host = fleet.hosts[container.host]
    if host.lost and container.keeps and not host.vouched:
        why = f"it keeps: if {host.id} is dead, vouch for it (restow host lose {host.id})"
        return RecoveryEnded(recovery.id, container.id, Fate.KEPT, host.id, why)
    often = sum(at > now - MEMORY_MS for at in container.recovered)
    if often < MEMORY_MAX or recovery.asked or one.tries:
        return None
    why = (
        f"it was recovered {often} times within {MEMORY_MS // 60_000} min and may be what kills"
        f" its hosts; look at it, then restow host recover {host.id}"
    )
    return RecoveryEnded(recovery.id, container.id, Fate.SPARED, host.id, why)


def start(fleet: Fleet, recovery: Recovery, container: Container, one: Fallen) -> Facts | str:
    """Start it: where it is, if its host is there and has not failed it; else elsewhere."""
    here = fleet.hosts[container.host]
    stays = not here.lost and here.id not in one.avoid
    to = here.id
    moved: Facts = ()
    if not stays:
        layer = fleet.layers[container.environment, container.layer]
        wish = wish_for(fleet, layer, container)
        chosen = place(fleet, replace(wish, apart=(*wish.apart, *one.avoid)))
        if not isinstance(chosen, Refusal):
            to = chosen.host
            moved = (ContainerReplaced(container.id, here.id, to, recovery.id, chosen.why),)
        elif here.lost:
            return chosen.detail
    still = "it stands still" if container.halted else starter(fleet, container)
    if still:
        placed = RecoveryEnded(recovery.id, container.id, Fate.PLACED, to, still)
        return (*moved, placed)
    order = next_order(fleet.next_number("order"))
    software = container.software or fleet.layers[container.environment, container.layer].software
    work = start_work(fleet, container, software)
    issued = OrderIssued(order, to, container.id, work, recovery.id, Instant(0))
    return (*moved, RecoveryStarting(recovery.id, container.id, to, order), issued)


def starter(fleet: Fleet, container: Container) -> str:
    """Say which operation will start a container, so that nobody else needs to."""
    layer = fleet.layers[container.environment, container.layer]
    for operation in at_work(fleet, layer):
        for planned in operation.todo:
            if planned.kind is StepKind.START and planned.container == container.id:
                return f"{operation.id} is to start it"
    return ""


def advance_case(fleet: Fleet, ask: AdvanceCase, now: Instant) -> Outcome:
    """Move one container on, if what ended is what it waited for."""
    recovery = fleet.recoveries.get(RecoveryId(ask.recovery))
    case = recovery.case(ask.container) if recovery else None
    if recovery is None or case is None or case.order != ask.order:
        return NOTHING
    container = fleet.containers.get(ask.container)
    if container is None:
        return Decision((RecoveryEnded(recovery.id, ask.container, Fate.GONE),))
    return Decision(on(fleet, recovery, case, container, (ask.failed, now)))


def on(
    fleet: Fleet, recovery: Recovery, case: Case, container: Container, what: tuple[str, Instant]
) -> Facts:
    """Return what follows for a container from what it waited for, and the time."""
    failed, now = what
    if not container.running:
        return tried(recovery, case, container, failed or "it does not run any more")
    if case.stage is Stage.ROUTING or (failed and case.stage is Stage.CHECKING):
        return (ended(recovery, container, failed),)
    if not container.healthy:
        if case.stage is Stage.CHECKING:
            return ()
        until = Instant(now + HEALTH_MAX_MS)
        return (RecoveryAdvanced(recovery.id, container.id, Stage.CHECKING, None, until),)
    if container.routed:
        return (ended(recovery, container, ""),)
    order = next_order(fleet.next_number("order"))
    expires = Instant(now + ORDER_LIFE_MS)
    route = route_in(fleet, container)
    issued = OrderIssued(order, ROUTER, container.id, route, recovery.id, expires)
    return (RecoveryAdvanced(recovery.id, container.id, Stage.ROUTING, order), issued)


def ended(recovery: Recovery, container: Container, failed: str) -> RecoveryEnded:
    fate = Fate.FAILED if failed else Fate.RESTARTED
    return RecoveryEnded(recovery.id, container.id, fate, container.host, failed)


def tried(recovery: Recovery, case: Case, container: Container, why: str) -> Facts:
    """Try again what could not be started, or died; but not for ever."""
    if case.fallen.tries >= TRIES_MAX:
        why = f"started {case.fallen.tries} times, the last one failed: {why}"
        return (RecoveryEnded(recovery.id, container.id, Fate.FAILED, container.host, why),)
    return (RecoveryFailed(recovery.id, container.id, container.host, why),)


def looks(fleet: Fleet) -> tuple[Command, ...]:
    """Return what lets every recovery look again."""
    return tuple(
        AdvanceRecovery(recovery=name)
        for name in in_order(fleet.recoveries)
        if not fleet.recoveries[name].finished_at
    )
