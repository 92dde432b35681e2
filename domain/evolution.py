"""What each event does to the fleet. No refusing, no deciding: it has happened.

Who is charged for what stands here and nowhere else: a container is charged to its host, and
while it moves to its target as well.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from domain import container as ct
from domain import dead, tenant
from domain import environment as env
from domain import host as h
from domain import trigger as tg
from domain.ability import HostProved
from domain.container import Container
from domain.environment import Environment, EnvironmentState, Layer
from domain.facts import members
from domain.fleet import Fleet
from domain.loss import TERM
from domain.messages import ContainerId, Event, HostId, Instant, number_of
from domain.networks import NETWORK, next_network
from domain.orders import (
    Halt,
    Order,
    OrderAnswered,
    OrderIssued,
    Redeploy,
    Resize,
    Restart,
    RouteIn,
    RouteOut,
    Start,
)

RESIZE_AGAIN_MS = 5_000
"""How long after a host refused a resize it is ordered again."""

Evolve = Callable[[Fleet, Any, Instant], None]


def charge(fleet: Fleet, host: HostId, cloudlets: int, disk: int, containers: int = 0) -> None:
    """Add to (or with negative numbers take from) what a host has promised."""
    old = fleet.hosts[host]
    new = replace(
        old,
        used=old.used + cloudlets,
        used_disk=old.used_disk + disk,
        containers=old.containers + containers,
    )
    fleet.put(fleet.hosts, host, new)


def host_event(fleet: Fleet, event: h.HostEvent, _at: Instant) -> None:
    old = fleet.hosts.get(event.host)
    if isinstance(event, h.HostRemoved) and old is not None:
        fleet.put(fleet.counters, TERM.format(event.host), old.term)
    fleet.put(fleet.hosts, event.host, h.evolve(old, event))


def release(fleet: Fleet, container: ContainerId, claim: str) -> None:
    """Give a container back, if `claim` still has it."""
    old = fleet.containers.get(container)
    if old is not None and old.claim == claim:
        fleet.put(fleet.containers, container, replace(old, claim=""))


def environment_created(fleet: Fleet, event: env.EnvironmentCreated, _at: Instant) -> None:
    number = event.network or next_network(fleet)
    new = Environment(event.environment, event.domain, event.groups, event.tenant, network=number)
    fleet.put(fleet.environments, event.environment, new)
    fleet.put(fleet.networks, number, event.environment)
    fleet.put(fleet.counters, NETWORK, number)


def environment_leaving(fleet: Fleet, event: env.EnvironmentLeaving, _at: Instant) -> None:
    old = fleet.environments[event.environment]
    fleet.put(fleet.environments, old.id, replace(old, state=EnvironmentState.LEAVING))


def environment_removed(fleet: Fleet, event: env.EnvironmentRemoved, _at: Instant) -> None:
    fleet.put(fleet.networks, fleet.environments[event.environment].network, None)
    fleet.put(fleet.environments, event.environment, None)


def layer_added(fleet: Fleet, event: env.LayerAdded, _at: Instant) -> None:
    layer = Layer(event.environment, event.spec)
    fleet.put(fleet.layers, layer.key, layer)
    old = fleet.environments[event.environment]
    fleet.put(fleet.environments, old.id, replace(old, layers=(*old.layers, event.layer)))


def layer_changed(fleet: Fleet, event: env.LayerChanged, _at: Instant) -> None:
    old = fleet.layers[event.environment, event.layer]
    fleet.put(fleet.layers, old.key, replace(old, spec=event.spec))


def layer_limits_set(fleet: Fleet, event: env.LayerLimitsSet, _at: Instant) -> None:
    old = fleet.layers[event.environment, event.layer]
    spec = replace(old.spec, reserved=event.reserved, limit=event.limit)
    fleet.put(fleet.layers, old.key, replace(old, spec=spec))


def environment_stopped(fleet: Fleet, event: env.EnvironmentStopped, _at: Instant) -> None:
    old = fleet.environments[event.environment]
    fleet.put(fleet.environments, old.id, replace(old, state=EnvironmentState.STOPPED))


def environment_started(fleet: Fleet, event: env.EnvironmentStarted, _at: Instant) -> None:
    old = fleet.environments[event.environment]
    fleet.put(fleet.environments, old.id, replace(old, state=EnvironmentState.ACTIVE))


def layer_software_set(fleet: Fleet, event: env.LayerSoftwareSet, _at: Instant) -> None:
    old = fleet.layers[event.environment, event.layer]
    spec = replace(old.spec, image=event.software.image)
    new = replace(old, spec=spec, application=event.software.application)
    fleet.put(fleet.layers, old.key, new)


def layer_leaving(fleet: Fleet, event: env.LayerLeaving, _at: Instant) -> None:
    old = fleet.layers[event.environment, event.layer]
    fleet.put(fleet.layers, old.key, replace(old, leaving=True))


def layer_removed(fleet: Fleet, event: env.LayerRemoved, _at: Instant) -> None:
    fleet.put(fleet.layers, (event.environment, event.layer), None)
    old = fleet.environments[event.environment]
    layers = tuple(name for name in old.layers if name != event.layer)
    fleet.put(fleet.environments, old.id, replace(old, layers=layers))


def container_placed(fleet: Fleet, event: ct.ContainerPlaced, _at: Instant) -> None:
    home = fleet.environments[event.environment]
    new = Container(
        event.container,
        event.environment,
        event.layer,
        event.number,
        event.host,
        event.reserved,
        event.limit,
        event.reserved,
        event.disk_gib,
        event.name,
        event.address,
        halted=home.state is EnvironmentState.STOPPED,
    )
    charge(fleet, event.host, new.allocated, new.disk_gib, 1)
    fleet.put(fleet.containers, new.id, new)
    layer = fleet.layers[event.environment, event.layer]
    grown = replace(layer, containers=(*layer.containers, new.id), next=event.number + 1)
    fleet.put(fleet.layers, layer.key, grown)
    fleet.put(fleet.counters, "node", int(event.container.removeprefix("node")))


def container_started(fleet: Fleet, event: ct.ContainerStarted, _at: Instant) -> None:
    old = fleet.containers[event.container]
    software = event.software or old.software
    new = replace(old, running=True, halted=False, software=software)
    fleet.put(fleet.containers, old.id, new)


def container_restarted(fleet: Fleet, event: ct.ContainerRestarted, _at: Instant) -> None:
    old = fleet.containers[event.container]
    restarts = old.restarts + 1
    new = replace(old, running=True, healthy=False, halted=False, restarts=restarts)
    fleet.put(fleet.containers, old.id, new)


def container_redeployed(fleet: Fleet, event: ct.ContainerRedeployed, _at: Instant) -> None:
    old = fleet.containers[event.container]
    new = replace(old, running=True, healthy=False, halted=False, software=event.software)
    fleet.put(fleet.containers, old.id, new)


def container_halted(fleet: Fleet, event: ct.ContainerHalted, _at: Instant) -> None:
    old = fleet.containers[event.container]
    new = replace(old, running=False, healthy=False, halted=True, introduced=False)
    fleet.put(fleet.containers, old.id, new)
    forget_resize(fleet, old.id)


def container_stopped(fleet: Fleet, event: ct.ContainerStopped, _at: Instant) -> None:
    old = fleet.containers[event.container]
    fleet.put(fleet.containers, old.id, replace(old, running=False, healthy=False))
    forget_resize(fleet, old.id)


def health_changed(fleet: Fleet, event: ct.ContainerHealthChanged, _at: Instant) -> None:
    old = fleet.containers[event.container]
    fleet.put(fleet.containers, old.id, replace(old, healthy=event.healthy))


def container_routed(fleet: Fleet, event: ct.ContainerRouted, _at: Instant) -> None:
    old = fleet.containers[event.container]
    fleet.put(fleet.containers, old.id, replace(old, routed=True, introduced=True))


def container_unrouted(fleet: Fleet, event: ct.ContainerUnrouted, at: Instant) -> None:
    old = fleet.containers[event.container]
    fleet.put(fleet.containers, old.id, replace(old, routed=False, unrouted_at=at, cut=event.cut))


def container_scaled(fleet: Fleet, event: ct.ContainerScaled, _at: Instant) -> None:
    old = fleet.containers[event.container]
    more = event.allocated - old.allocated
    if more:
        charge(fleet, old.host, more, 0)
        if old.target is not None:
            charge(fleet, old.target, more, 0)
    new = replace(
        old,
        reserved=event.reserved,
        limit=event.limit,
        allocated=event.allocated,
        deferred=None,
    )
    fleet.put(fleet.containers, old.id, new)
    forget_resize(fleet, old.id)


def container_resized(fleet: Fleet, event: ct.ContainerResized, _at: Instant) -> None:
    old = fleet.containers[event.container]
    new = replace(old, applied=event.cloudlets, applied_limit=event.limit)
    fleet.put(fleet.containers, old.id, new)
    forget_resize(fleet, old.id)


def growth_deferred(fleet: Fleet, event: ct.GrowthDeferred, _at: Instant) -> None:
    old = fleet.containers[event.container]
    fleet.put(fleet.containers, old.id, replace(old, deferred=(event.reserved, event.limit)))


def growth_refused(fleet: Fleet, event: ct.GrowthRefused, _at: Instant) -> None:
    old = fleet.containers[event.container]
    fleet.put(fleet.containers, old.id, replace(old, deferred=None))


def capacity_forced(fleet: Fleet, event: ct.CapacityForced, _at: Instant) -> None:
    old = fleet.hosts[event.host]
    fleet.put(fleet.hosts, old.id, replace(old, forced=event.cloudlets))


def container_removed(fleet: Fleet, event: ct.ContainerRemoved, _at: Instant) -> None:
    old = fleet.containers[event.container]
    charge(fleet, old.host, -old.allocated, -old.disk_gib, -1)
    fleet.put(fleet.containers, old.id, None)
    forget_resize(fleet, old.id)
    layer = fleet.layers[old.environment, old.layer]
    left = tuple(name for name in layer.containers if name != old.id)
    fleet.put(fleet.layers, layer.key, replace(layer, containers=left))
    fleet.forget_removed(old.id)


def order_issued(fleet: Fleet, event: OrderIssued, _at: Instant) -> None:
    order = Order(event.order, event.to, event.container, event.work, event.saga, event.expires)
    fleet.put(fleet.orders, event.order, order)
    fleet.put(fleet.counters, "order", number_of(event.order))
    if isinstance(event.work, Resize):
        old = fleet.containers[event.container]
        fleet.put(fleet.containers, old.id, replace(old, resizing=event.order))
        forget_resize(fleet, old.id)
    elif isinstance(event.work, Start | Restart | Redeploy):
        old = fleet.containers[event.container]
        keeps = event.work.keep if isinstance(event.work, Start) else old.keeps
        new = replace(old, start_order=number_of(event.order), keeps=keeps)
        fleet.put(fleet.containers, old.id, new)
    elif isinstance(event.work, RouteOut) and event.container in fleet.containers:
        old = fleet.containers[event.container]
        fleet.put(fleet.containers, old.id, replace(old, unrouting=event.order))


def order_answered(fleet: Fleet, event: OrderAnswered, at: Instant) -> None:
    order = fleet.orders[event.order]
    fleet.put(fleet.orders, event.order, None)
    old = fleet.containers.get(event.container)
    if old is None:
        fleet.forget_removed(event.container)
        return
    if isinstance(order.work, RouteIn | RouteOut):
        old = dns_answered(old, order, done=event.done)
        fleet.put(fleet.containers, old.id, old)
    elif event.done and isinstance(order.work, Start | Restart | Redeploy | Halt):
        latest = max(old.work_order, number_of(order.id))
        fleet.put(fleet.containers, old.id, replace(old, work_order=latest))
    if old.resizing != event.order:
        return
    fleet.put(fleet.containers, old.id, replace(old, resizing=None))
    if not event.done and old.running and not old.sized:
        fleet.put(fleet.deadlines, resize_deadline(old.id), Instant(at + RESIZE_AGAIN_MS))


def dns_answered(old: Container, order: Order, *, done: bool) -> Container:
    """Return a container after an answer about DNS; one put in again later is in for certain."""
    if order.id == old.unrouting or (done and isinstance(order.work, RouteIn)):
        old = replace(old, unrouting=None)
    return replace(old, dns_order=max(old.dns_order, number_of(order.id))) if done else old


def resize_deadline(container: ContainerId) -> str:
    """Return the name under which a refused resize waits to be ordered again."""
    return f"size/{container}"


def forget_resize(fleet: Fleet, container: ContainerId) -> None:
    """Wait no more for the moment to order a size again: it came, or it is ordered anew."""
    if resize_deadline(container) in fleet.deadlines:
        fleet.put(fleet.deadlines, resize_deadline(container), None)


def tenant_event(fleet: Fleet, event: tenant.TenantEvent, _at: Instant) -> None:
    fleet.put(fleet.limits, event.tenant, tenant.evolve(event))


def dead_event(fleet: Fleet, event: dead.DeadEvent, at: Instant) -> None:
    """Keep a letter as it is now, and look at the oldest again when its time is over."""
    fleet.put(fleet.dead, event.dead, dead.evolve(fleet.dead.get(event.dead), event, at))
    if isinstance(event, dead.DeadKept):
        fleet.put(fleet.counters, "dead", int(event.dead.removeprefix("dl")))
    end = dead.end_of(fleet.dead)
    if fleet.deadlines.get(dead.CLOCK) != end:
        fleet.put(fleet.deadlines, dead.CLOCK, end)


def trigger_set(fleet: Fleet, event: tg.TriggerRuleSet, _at: Instant) -> None:
    old = fleet.triggers.get(event.trigger)
    fleet.put(fleet.triggers, event.trigger, tg.begin(event, old))
    if old is None:
        fleet.put(fleet.counters, "trigger", int(event.trigger.removeprefix("tr")))
        layer = fleet.layers[event.environment, event.layer]
        with_it = replace(layer, triggers=(*layer.triggers, event.trigger))
        fleet.put(fleet.layers, layer.key, with_it)


def trigger_told(fleet: Fleet, event: tg.Told, _at: Instant) -> None:
    fleet.put(fleet.triggers, event.trigger, tg.evolve(fleet.triggers[event.trigger], event))


def trigger_removed(fleet: Fleet, event: tg.TriggerRemoved, _at: Instant) -> None:
    fleet.put(fleet.triggers, event.trigger, None)
    layer = fleet.layers[event.environment, event.layer]
    left = tuple(name for name in layer.triggers if name != event.trigger)
    fleet.put(fleet.layers, layer.key, replace(layer, triggers=left))


EVOLVE: dict[type[Event], Evolve] = {
    h.HostRegistered: host_event,
    h.HostRelabelled: host_event,
    h.HostRated: host_event,
    h.HostCordoned: host_event,
    h.HostUncordoned: host_event,
    h.HostRemoved: host_event,
    h.HostEvacuating: host_event,
    h.HostEvacuated: host_event,
    h.HostEvacuationFailed: host_event,
    h.HostLost: host_event,
    h.HostReturned: host_event,
    HostProved: host_event,
    env.EnvironmentCreated: environment_created,
    env.EnvironmentLeaving: environment_leaving,
    env.EnvironmentStopped: environment_stopped,
    env.EnvironmentStarted: environment_started,
    env.EnvironmentRemoved: environment_removed,
    env.LayerAdded: layer_added,
    env.LayerChanged: layer_changed,
    env.LayerLimitsSet: layer_limits_set,
    env.LayerSoftwareSet: layer_software_set,
    env.LayerLeaving: layer_leaving,
    env.LayerRemoved: layer_removed,
    ct.ContainerPlaced: container_placed,
    ct.ContainerStarted: container_started,
    ct.ContainerRestarted: container_restarted,
    ct.ContainerRedeployed: container_redeployed,
    ct.ContainerHalted: container_halted,
    ct.ContainerStopped: container_stopped,
    ct.ContainerHealthChanged: health_changed,
    ct.ContainerRouted: container_routed,
    ct.ContainerUnrouted: container_unrouted,
    ct.ContainerScaled: container_scaled,
    ct.ContainerResized: container_resized,
    ct.ContainerRemoved: container_removed,
    ct.GrowthDeferred: growth_deferred,
    ct.GrowthRefused: growth_refused,
    ct.CapacityForced: capacity_forced,
    OrderIssued: order_issued,
    OrderAnswered: order_answered,
    **dict.fromkeys(members(tenant.TenantEvent), tenant_event),
    **dict.fromkeys(members(dead.DeadEvent), dead_event),
    **dict.fromkeys(members(tg.Told), trigger_told),
    tg.TriggerRuleSet: trigger_set,
    tg.TriggerRemoved: trigger_removed,
}
