"""What agents report, and what follows from it at once. A report is an ask like any other."""

from collections.abc import Callable
from typing import assert_never

from msgspec.structs import replace

from domain import offline
from domain.container import (
    Container,
    ContainerHalted,
    ContainerHealthChanged,
    ContainerRedeployed,
    ContainerRemoved,
    ContainerResized,
    ContainerRestarted,
    ContainerRouted,
    ContainerStarted,
    ContainerStopped,
    ContainerUnrouted,
)
from domain.decider import NOTHING, Decision, Outcome
from domain.fleet import Fleet
from domain.layers import gone
from domain.messages import Code, ContainerId, Event, Instant, Refusal
from domain.migration import MigrationPhaseReached, MigrationReverted
from domain.moving import settle
from domain.orders import (
    AnyReport,
    CallOff,
    Halt,
    MigrateOut,
    Order,
    OrderAnswered,
    Redeploy,
    ReportHealth,
    ReportOrder,
    ReportPhase,
    Resize,
    Restart,
    RouteIn,
    RouteOut,
    Start,
    Stop,
    Work,
    number_of,
)
from domain.software import Software


def decide(fleet: Fleet, report: AnyReport, now: Instant) -> Outcome:
    match report:
        case ReportOrder():
            return order_reported(fleet, report, now)
        case ReportHealth():
            return health_reported(fleet, report)
        case ReportPhase():
            return phase_reported(fleet, report)
        case _:
            assert_never(report)


def order_reported(fleet: Fleet, report: ReportOrder, now: Instant) -> Outcome:
    """Take an order's one answer in; a second one changes nothing."""
    order = fleet.orders.get(report.order)
    if order is None:
        return NOTHING
    if order.to != report.host:
        return Refusal(
            Code.AUTH_DENIED,
            f"order {order.id} was given to {order.to}, and {report.host} answers it",
            "$.host",
        )
    answered = OrderAnswered(order.id, order.container, report.done, report.detail, order.saga)
    return Decision((*effects(fleet, order, report, now), answered))


def effects(fleet: Fleet, order: Order, report: ReportOrder, now: Instant) -> tuple[Event, ...]:
    """Return what is known to be so after an order, done or not."""
    work = order.work
    if isinstance(work, MigrateOut | CallOff):
        return settle(fleet, work.migration, report)
    if order.saga.startswith("mv"):
        return offline.answered(fleet, order, report, now)
    container = fleet.containers.get(order.container)
    if container is None:
        return ()
    if isinstance(work, Stop):
        return removed(fleet, container) if report.done else ()
    if isinstance(work, RouteIn | RouteOut) and number_of(order.id) < container.dns_order:
        return ()  # it comes late: a later order was carried out since
    if report.done:
        return done(container.id, work)
    if isinstance(work, Start) and report.running and not container.running:
        software = container.software or Software(work.image, work.application)
        return (
            ContainerStarted(container.id, software),
        )  # it could not be started for it runs already
    new_process = isinstance(work, Restart | Redeploy)
    stopped = new_process and not report.running and container.running
    return (ContainerStopped(container.id, report.detail),) if stopped else ()


def removed(fleet: Fleet, container: Container) -> tuple[Event, ...]:
    """Return what is so when a container is gone: no migration of it, and perhaps no layer.

    Mostly the operation that took it away hears of it; after one that gave up waiting for this
    very answer nobody else would see that a leaving layer has lost its last container.
    """
    facts: list[Event] = [ContainerRemoved(container.id)]
    migration = fleet.migrations.get(container.migration) if container.migration else None
    if migration is not None and container.target is not None:
        reverted = MigrationReverted(
            migration.id, container.id, migration.source, container.target, "it was removed"
        )
        facts.insert(0, reverted)
    layer = fleet.layers[container.environment, container.layer]
    last = layer.containers == (container.id,)
    if last and layer.operation is None and not layer.queue:
        facts.extend(gone(fleet, replace(layer, containers=())))
    return tuple(facts)


def done(
    container: ContainerId,
    work: Start | Restart | Redeploy | Halt | Resize | RouteIn | RouteOut,
) -> tuple[Event, ...]:
    """Return what is so when an order was carried out."""
    match work:
        case Start(cloudlets=cloudlets, limit=limit):
            started = ContainerStarted(container, Software(work.image, work.application))
            return (started, ContainerResized(container, cloudlets, limit))
        case Redeploy():
            return (ContainerRedeployed(container, Software(work.image, work.application)),)
        case Resize(cloudlets=cloudlets, limit=limit):
            return (ContainerResized(container, cloudlets, limit),)
        case Restart() | Halt() | RouteIn() | RouteOut():
            return (DONE[type(work)](container),)


DONE: dict[type[Work], Callable[[ContainerId], Event]] = {
    Restart: ContainerRestarted,
    Halt: ContainerHalted,
    RouteIn: ContainerRouted,
    RouteOut: ContainerUnrouted,
}
"""What is so when an order was carried out that says no more than that."""


def health_reported(fleet: Fleet, report: ReportHealth) -> Outcome:
    """Believe the host that has the container, or has just been handed it."""
    container = fleet.containers.get(report.container)
    if container is None or report.host not in {container.host, container.target}:
        return NOTHING
    if offline.left_behind(fleet, container, report.host):
        return NOTHING
    if fleet.hosts[report.host].lost:
        return NOTHING
    if not report.running:
        why = "its host says that it does not run"
        return Decision((ContainerStopped(container.id, why),)) if container.running else NOTHING
    facts: list[Event] = []
    if not container.running:
        facts.append(ContainerStarted(container.id))
    if container.healthy != report.healthy:
        facts.append(ContainerHealthChanged(container.id, report.healthy))
    return Decision(tuple(facts))


def phase_reported(fleet: Fleet, report: ReportPhase) -> Outcome:
    """Note a migration's phase, once each."""
    migration = fleet.migrations.get(report.migration)
    if migration is None or report.host not in {migration.source, migration.target}:
        return NOTHING
    if migration.finished_at or any(phase == report.phase for phase, _ in migration.phases):
        return NOTHING
    return Decision((MigrationPhaseReached(migration.id, report.phase, report.after_ms),))
