"""Emptying a host, and the way back, asked for: planned, paused, resumed, stopped.

What is known of how it can go is in the first event. `emptying.py` carries it on.
"""

from domain.decider import NOTHING, Decision, Outcome
from domain.evacuation import (
    EvacuateHost,
    Evacuation,
    EvacuationPaused,
    EvacuationRequested,
    EvacuationResumed,
    EvacuationState,
    EvacuationStopped,
    Kind,
    PauseEvacuation,
    RestoreHost,
    ResumeEvacuation,
    StopEvacuation,
    Wanted,
)
from domain.feasibility import Verdict, can_leave
from domain.fleet import Fleet
from domain.host import (
    Host,
    HostEvacuating,
    HostState,
    unknown,
)
from domain.messages import (
    Accepted,
    Code,
    EvacuationId,
    HostId,
    Refusal,
    number_of,
)
from domain.moves import MoveOutcome
from domain.tenancy import missing

EvacuationCommand = EvacuateHost | RestoreHost | PauseEvacuation | ResumeEvacuation | StopEvacuation

UNREACHABLE = {HostState.LOST, HostState.FENCED}


def decide(fleet: Fleet, ask: EvacuationCommand) -> Outcome:
    """Decide what is asked for about emptying hosts."""
    match ask:
        case EvacuateHost():
            return evacuate(fleet, ask)
        case RestoreHost():
            return restore(fleet, ask)
        case PauseEvacuation():
            return pause(fleet, ask)
        case ResumeEvacuation():
            return resume(fleet, ask)
        case StopEvacuation():
            return stop(fleet, ask)


def evacuate(fleet: Fleet, ask: EvacuateHost) -> Outcome:
    """Begin to empty a host; what is known of how that can go is in the first event."""
    host = fleet.hosts.get(HostId(ask.host))
    if host is None:
        return unknown(HostId(ask.host))
    wrong = not_evacuable(fleet, host, ask)
    if wrong is not None:
        return wrong
    under_way = going_on(fleet, host.id, Kind.EVACUATE)
    if under_way is not None:
        return NOTHING if is_the_same(under_way, ask) else busy(under_way)
    if host.state is HostState.EVACUATED and not host.containers and not host.arriving:
        return NOTHING
    targets = tuple(HostId(name) for name in ask.targets)
    verdict = can_leave(fleet, host.id, targets)
    evacuation = EvacuationId(f"ev{fleet.next_number('evacuation')}")
    requested = EvacuationRequested(
        evacuation,
        host.id,
        planned(fleet, host.id, verdict),
        Kind.EVACUATE,
        targets,
        ask.live,
        ask.at_once,
        verdict.answer,
        verdict.missing_cloudlets,
        verdict.missing_disk_gib,
        ask.reason,
    )
    notices = (forecast(verdict),)
    return Decision(
        (HostEvacuating(host.id, evacuation), requested),
        answer=Accepted(operation=evacuation, notices=notices),
    )


def not_evacuable(fleet: Fleet, host: Host, ask: EvacuateHost) -> Refusal | None:
    """Say what is against emptying a host."""
    if host.state in UNREACHABLE:
        return Refusal(
            Code.MIGRATION_NOT_POSSIBLE,
            f"host {host.id} is {host.state.value}; nothing can be moved from it by its agent",
            "$.host",
        )
    strange = [name for name in ask.targets if HostId(name) not in fleet.hosts]
    if strange:
        return Refusal(
            Code.HOST_NOT_FOUND,
            f"there is no host {strange[0]} among the targets; leave targets out and placement"
            " chooses",
            "$.targets",
            {"host": strange[0]},
        )
    if ask.host in ask.targets:
        why = f"{ask.host} cannot be emptied to itself; name other targets, or none"
        return Refusal(Code.REQUEST_INVALID, why, "$.targets")
    back = going_on(fleet, host.id, Kind.RESTORE)
    return busy(back) if back is not None else None


def going_on(fleet: Fleet, host: HostId, kind: Kind) -> Evacuation | None:
    """Return what empties a host now, or moves back to it."""
    every = (one for one in fleet.evacuations.values() if not one.finished_at)
    return next((one for one in every if one.host == host and one.kind is kind), None)


def is_the_same(one: Evacuation, ask: EvacuateHost) -> bool:
    asked = (tuple(ask.targets), ask.live, ask.at_once)
    return (one.targets, one.live, one.at_once) == asked


def busy(one: Evacuation) -> Refusal:
    """Refuse while the opposite of what is asked goes on, or the same in another way."""
    return Refusal(
        Code.OPERATION_BUSY,
        f"{one.id} ({one.kind.value} {one.host}) is under way; wait for it, or stop it"
        f" (restow evacuation stop {one.id})",
        "$.host",
        {"evacuation": str(one.id)},
    )


def planned(fleet: Fleet, host: HostId, verdict: Verdict) -> tuple[Wanted, ...]:
    """Return the containers that are there, each with its place if it has one, the largest first.

    Those for which no place was found come last: they take nobody's.
    """
    places = dict(verdict.places)
    there = [*places, *verdict.left]
    here = [fleet.containers[name] for name in there if fleet.containers[name].host == host]
    here.sort(
        key=lambda one: (one.id not in places, -one.allocated, -one.disk_gib, number_of(one.id))
    )
    return tuple(Wanted(one.id, places.get(one.id)) for one in here)


def forecast(verdict: Verdict) -> str:
    """Return in a sentence what is known before anything moves."""
    count = len(verdict.places) + len(verdict.left)
    if verdict.answer == "feasible":
        return f"feasible: there is a place for each of {count} containers"
    lack = f"{verdict.missing_cloudlets} cloudlets and {verdict.missing_disk_gib} GiB are missing"
    return f"{verdict.answer}: {verdict.why}; {lack}"


def restore(fleet: Fleet, ask: RestoreHost) -> Outcome:
    """Begin to move back what the last evacuation moved away and is still where it went."""
    host = fleet.hosts.get(HostId(ask.host))
    if host is None:
        return unknown(HostId(ask.host))
    wrong = not_restorable(fleet, host)
    if wrong is not None:
        return wrong
    plan = way_back(fleet, host.id)
    under_way = going_on(fleet, host.id, Kind.RESTORE)
    if not plan or under_way is not None:
        return NOTHING
    evacuation = EvacuationId(f"ev{fleet.next_number('evacuation')}")
    requested = EvacuationRequested(
        evacuation,
        host.id,
        plan,
        Kind.RESTORE,
        live=ask.live,
        at_once=ask.at_once,
        reason=ask.reason,
    )
    return Decision((requested,), answer=Accepted(operation=evacuation))


def last_evacuation(fleet: Fleet, host: HostId) -> Evacuation | None:
    every = (one for one in fleet.evacuations.values() if one.kind is Kind.EVACUATE)
    return next((one for one in every if one.host == host), None)


def not_restorable(fleet: Fleet, host: Host) -> Refusal | None:
    """Say what is against moving containers back to a host."""
    if last_evacuation(fleet, host.id) is None:
        return Refusal(
            Code.EVACUATION_NOT_FOUND,
            f"host {host.id} was not evacuated, so there is nothing to move back",
            "$.host",
        )
    away = going_on(fleet, host.id, Kind.EVACUATE)
    if away is not None:
        return busy(away)
    if host.state is HostState.ACTIVE:
        return None
    return Refusal(
        Code.MIGRATION_NOT_POSSIBLE,
        f"host {host.id} is {host.state.value} and receives nothing; uncordon it first"
        f" (restow host uncordon {host.id})",
        "$.host",
    )


def way_back(fleet: Fleet, host: HostId) -> tuple[Wanted, ...]:
    """Return what went and is still where the evacuation put it, oldest container first."""
    last = last_evacuation(fleet, host)
    if last is None:
        return ()
    back = [
        ended.container
        for ended in last.over
        if ended.outcome is MoveOutcome.MOVED
        and ended.container in fleet.containers
        and fleet.containers[ended.container].host == ended.target
    ]
    return tuple(Wanted(name, host) for name in sorted(back, key=number_of))


def find(fleet: Fleet, name: str) -> Evacuation | Refusal:
    """Return an evacuation that is not over."""
    one = fleet.evacuations.get(EvacuationId(name))
    if one is None:
        return missing("evacuation", name)
    if one.finished_at:
        return Refusal(
            Code.EVACUATION_ENDED,
            f"evacuation {name} is over: {one.outcome}",
            "$.evacuation",
            {"outcome": one.outcome},
        )
    return one


def pause(fleet: Fleet, ask: PauseEvacuation) -> Outcome:
    one = find(fleet, ask.evacuation)
    if isinstance(one, Refusal):
        return one
    if one.state in {EvacuationState.PAUSED, EvacuationState.STOPPING}:
        return NOTHING
    return Decision((EvacuationPaused(one.id),), answer=Accepted(one.id))


def resume(fleet: Fleet, ask: ResumeEvacuation) -> Outcome:
    one = find(fleet, ask.evacuation)
    if isinstance(one, Refusal):
        return one
    if one.state is not EvacuationState.PAUSED:
        return NOTHING
    return Decision((EvacuationResumed(one.id),), answer=Accepted(one.id))


def stop(fleet: Fleet, ask: StopEvacuation) -> Outcome:
    one = find(fleet, ask.evacuation)
    if isinstance(one, Refusal):
        return one
    if one.state is EvacuationState.STOPPING:
        return NOTHING
    return Decision((EvacuationStopped(one.id, ask.reason),), answer=Accepted(one.id))
