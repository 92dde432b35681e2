"""What agents report, and what follows from it at once. A report is an ask like any other."""

from collections.abc import Callable
from typing import assert_never

from msgspec.structs import replace

from domain import offline
from domain.ability import HostProved
from domain.container import (
    Container,
    ContainerHalted,
    ContainerHealthChanged,
    ContainerRedeployed,
    ContainerResized,
    ContainerRestarted,
    ContainerRouted,
    ContainerStarted,
    ContainerStopped,
    ContainerUnrouted,
)
from domain.decider import NOTHING, Decision, Outcome
from domain.environment import EnvironmentState
from domain.fleet import Fleet
from domain.layers import removed
from domain.messages import (
    Code,
    ContainerId,
    Event,
    Instant,
    OperationId,
    OrderId,
    Refusal,
    number_of,
)
from domain.migration import MigrationPhaseReached
from domain.moving import settle
from domain.orders import (
    DETAIL_MAX,
    ROUTER,
    AnyReport,
    CallOff,
    Halt,
    MigrateOut,
    Order,
    OrderAnswered,
    OrderIssued,
    Redeploy,
    ReportAbility,
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
    next_order,
)
from domain.routing import take_away
from domain.software import Software

RECORD_AGAIN_MS = 15_000
"""How long after it failed the record of a container that is gone is tried to be taken away."""


def decide(fleet: Fleet, report: AnyReport, now: Instant) -> Outcome:
    match report:
        case ReportOrder():
            return order_reported(fleet, report, now)
        case ReportHealth():
            return health_reported(fleet, report)
        case ReportPhase():
            return phase_reported(fleet, report)
        case ReportAbility():
            return ability_reported(fleet, report)
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
    if len(report.detail) > DETAIL_MAX:  # a commit of more would not pass the bus
        report = replace(report, detail=report.detail[:DETAIL_MAX])
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
    if container is None or is_overtaken(order, container):
        return () if container else left_behind(fleet, order, report, now)
    if isinstance(work, Stop):
        return (*unrouted(fleet, container), *removed(fleet, container)) if report.done else ()
    if isinstance(work, Halt) and report.done and not is_to_halt(fleet, order, container):
        late = "it was stopped, and its environment is to run again"
        return (ContainerStopped(container.id, late),) if container.running else ()
    if report.done:
        return done(container.id, work, report.cut)
    if isinstance(work, Start) and report.running and not container.running:
        software = container.software or Software(work.image, work.application)
        return (
            ContainerStarted(container.id, software),
        )  # it could not be started for it runs already
    new_process = isinstance(work, Restart | Redeploy)
    stopped = new_process and not report.running and container.running
    return (ContainerStopped(container.id, report.detail),) if stopped else ()


def unrouted(fleet: Fleet, container: Container) -> tuple[Event, ...]:
    """Return the order that takes the record of a container away that is gone, if it has one.

    Whoever had it removed saw to that, unless they gave up and had it put back before this late
    answer. The last record of a layer goes too: it leads nowhere.
    """
    coming = (
        order.container == container.id and isinstance(order.work, RouteIn)
        for order in fleet.orders.values()
    )
    if not container.routed and not any(coming):
        return ()
    return (take_away(fleet, container, fleet.next_number("order")),)


def left_behind(fleet: Fleet, order: Order, report: ReportOrder, now: Instant) -> tuple[Event, ...]:
    """Return the order that takes away what still leads to a container that is gone.

    Nobody else would: its record came late, or could not be taken out, which is tried until it is.
    """
    work = order.work
    if not isinstance(work, RouteIn | RouteOut) or report.done != isinstance(work, RouteIn):
        return ()
    number = next_order(fleet.next_number("order"))
    out = RouteOut(work.names, work.address, work.ports, work.stateful)
    after = Instant(0) if report.done else Instant(now + RECORD_AGAIN_MS)
    return (OrderIssued(number, ROUTER, order.container, out, after=after),)


def is_overtaken(order: Order, container: Container) -> bool:
    """Say whether an answer comes too late to say how things are: a later order counts.

    One that removes is overtaken as soon as another is given that starts: the operation that
    removed gave up, and somebody wants the container. Its host will say whether it runs.
    """
    number = number_of(order.id)
    match order.work:
        case RouteIn() | RouteOut():
            return number < container.dns_order
        case Stop():
            return number < container.start_order
        case Start() | Restart() | Redeploy() | Halt():
            return number < container.work_order
        case _:
            return False


def is_to_halt(fleet: Fleet, order: Order, container: Container) -> bool:
    """Say whether somebody still wants a container to stand still that was told to."""
    if fleet.environments[container.environment].state is EnvironmentState.STOPPED:
        return True
    operation = fleet.operations.get(OperationId(order.saga))
    step = operation.step(container.id) if operation else None
    return step is not None and step.order == order.id


def done(
    container: ContainerId,
    work: Start | Restart | Redeploy | Halt | Resize | RouteIn | RouteOut,
    cut: int = 0,
) -> tuple[Event, ...]:
    """Return what is so when an order was carried out; `cut`: see `ReportOrder`."""
    match work:
        case Start(cloudlets=cloudlets, limit=limit):
            started = ContainerStarted(container, Software(work.image, work.application))
            return (started, ContainerResized(container, cloudlets, limit))
        case Redeploy():
            return (ContainerRedeployed(container, Software(work.image, work.application)),)
        case Resize(cloudlets=cloudlets, limit=limit):
            return (ContainerResized(container, cloudlets, limit),)
        case RouteOut():
            return (ContainerUnrouted(container, cut),)
        case Restart() | Halt() | RouteIn():
            return (DONE[type(work)](container),)


DONE: dict[type[Work], Callable[[ContainerId], Event]] = {
    Restart: ContainerRestarted,
    Halt: ContainerHalted,
    RouteIn: ContainerRouted,
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
        facts.append(ContainerStarted(container.id, started_from(fleet, container)))
    if container.healthy != report.healthy:
        facts.append(ContainerHealthChanged(container.id, report.healthy))
    return Decision(tuple(facts))


def started_from(fleet: Fleet, container: Container) -> Software | None:
    """Return what runs for the first time though its start is not answered; None: as it was."""
    order = fleet.orders.get(OrderId(f"or{container.start_order}"))
    if container.software is not None or order is None or not isinstance(order.work, Start):
        return None
    return Software(order.work.image, order.work.application)


def phase_reported(fleet: Fleet, report: ReportPhase) -> Outcome:
    """Note a migration's phase, once each."""
    migration = fleet.migrations.get(report.migration)
    if migration is None or report.host not in {migration.source, migration.target}:
        return NOTHING
    if migration.finished_at or any(phase == report.phase for phase, _ in migration.phases):
        return NOTHING
    return Decision((MigrationPhaseReached(migration.id, report.phase, report.after_ms),))


def ability_reported(fleet: Fleet, report: ReportAbility) -> Outcome:
    """Note how a host moves containers live; one that says `none` without a reason is given one."""
    host = fleet.hosts.get(report.host)
    unable = (report.why[:DETAIL_MAX] or "its agent says so") if report.live == "none" else ""
    if host is None or (host.live, host.unable) == (report.live, unable):
        return NOTHING
    return Decision((HostProved(host.id, report.live, unable),))
