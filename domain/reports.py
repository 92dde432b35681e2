"""What agents report, and what follows from it at once. A report is an ask like any other."""

from typing import assert_never

from domain.container import (
    ContainerHealthChanged,
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
from domain.messages import Code, ContainerId, Event, Refusal
from domain.migration import MigrationPhaseReached
from domain.moving import settle
from domain.orders import (
    AnyReport,
    CallOff,
    MigrateOut,
    Order,
    OrderAnswered,
    ReportHealth,
    ReportOrder,
    ReportPhase,
    Resize,
    Restart,
    RouteIn,
    RouteOut,
    Start,
    Stop,
)


def decide(fleet: Fleet, report: AnyReport) -> Outcome:
    match report:
        case ReportOrder():
            return order_reported(fleet, report)
        case ReportHealth():
            return health_reported(fleet, report)
        case ReportPhase():
            return phase_reported(fleet, report)
        case _:
            assert_never(report)


def order_reported(fleet: Fleet, report: ReportOrder) -> Outcome:
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
    return Decision((*effects(fleet, order, report), answered))


def effects(fleet: Fleet, order: Order, report: ReportOrder) -> tuple[Event, ...]:
    """Return what is known to be so after an order, done or not."""
    work = order.work
    if isinstance(work, MigrateOut | CallOff):
        return settle(fleet, work.migration, report)
    container = fleet.containers.get(order.container)
    if container is None:
        return ()
    if report.done:
        return done(container.id, work)
    stopped = isinstance(work, Restart) and not report.running and container.running
    return (ContainerStopped(container.id, report.detail),) if stopped else ()


def done(
    container: ContainerId, work: Start | Stop | Restart | Resize | RouteIn | RouteOut
) -> tuple[Event, ...]:
    """Return what is so when an order was carried out."""
    match work:
        case Start(cloudlets=cloudlets, limit=limit):
            return (ContainerStarted(container), ContainerResized(container, cloudlets, limit))
        case Restart():
            return (ContainerRestarted(container),)
        case Resize(cloudlets=cloudlets, limit=limit):
            return (ContainerResized(container, cloudlets, limit),)
        case Stop():
            return (ContainerRemoved(container),)
        case RouteIn():
            return (ContainerRouted(container),)
        case RouteOut():
            return (ContainerUnrouted(container),)


def health_reported(fleet: Fleet, report: ReportHealth) -> Outcome:
    """Believe the host that has the container, or has just been handed it."""
    container = fleet.containers.get(report.container)
    if container is None or report.host not in {container.host, container.target}:
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
