"""What the loss of a host, its return and the recovery of what it carried do to the fleet."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from domain import loss as ls
from domain import recovery as rc
from domain.evolution import charge, release
from domain.facts import members
from domain.fleet import VIGIL, Fleet
from domain.messages import Event, HostId, Instant

Evolve = Callable[[Fleet, Any, Instant], None]


def watched(fleet: Fleet, event: ls.LossEvent, at: Instant) -> None:
    vigil = fleet.vigil.get(VIGIL) or ls.Vigil()
    fleet.put(fleet.vigil, VIGIL, ls.evolve(vigil, event, at))


def forget_recoveries(fleet: Fleet, host: HostId) -> None:
    """Forget what is over of a host's recoveries; the last one is enough."""
    for old in list(fleet.recoveries.values()):
        if old.host == host and old.finished_at:
            fleet.put(fleet.recoveries, old.id, None)


def recovery_begun(fleet: Fleet, event: rc.RecoveryBegun, at: Instant) -> None:
    forget_recoveries(fleet, event.host)
    fleet.put(fleet.counters, "recovery", int(event.recovery.removeprefix("rc")))
    fleet.put_recovery(rc.begin(event, at))


def recovery_event(fleet: Fleet, event: rc.Progressed, at: Instant) -> None:
    fleet.put_recovery(rc.evolve(fleet.recoveries[event.recovery], event, at))


def recovery_starting(fleet: Fleet, event: rc.RecoveryStarting, at: Instant) -> None:
    """Claim the container, and remember that it was recovered: not for ever again."""
    old = fleet.containers[event.container]
    first = not any(
        one.tries for one in fleet.recoveries[event.recovery].todo if one.container == old.id
    )
    recovered = (*old.recovered, at)[-rc.MEMORY_MAX :] if first else old.recovered
    fleet.put(fleet.containers, old.id, replace(old, claim=event.recovery, recovered=recovered))
    recovery_event(fleet, event, at)


def recovery_let_go(fleet: Fleet, event: rc.RecoveryFailed | rc.RecoveryEnded, at: Instant) -> None:
    release(fleet, event.container, event.recovery)
    recovery_event(fleet, event, at)


def container_replaced(fleet: Fleet, event: rc.ContainerReplaced, _at: Instant) -> None:
    """Charge the new host instead of the one that is lost; nothing of the old one is left."""
    old = fleet.containers[event.container]
    charge(fleet, old.host, -old.allocated, -old.disk_gib, -1)
    charge(fleet, event.target, old.allocated, old.disk_gib, 1)
    new = replace(old, host=event.target, running=False, healthy=False, applied=0, applied_limit=0)
    fleet.put(fleet.containers, old.id, new)


WATCHED: dict[type[Event], Evolve] = dict.fromkeys(members(ls.LossEvent), watched)
RECOVERED: dict[type[Event], Evolve] = dict.fromkeys(members(rc.Progressed), recovery_event)
AFTERMATH: dict[type[Event], Evolve] = {
    **WATCHED,
    **RECOVERED,
    rc.RecoveryBegun: recovery_begun,
    rc.RecoveryStarting: recovery_starting,
    rc.RecoveryFailed: recovery_let_go,
    rc.RecoveryEnded: recovery_let_go,
    rc.ContainerReplaced: container_replaced,
}
