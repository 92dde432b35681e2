"""A cold move: stop, confirmed, start on the target. Only where somebody allowed it.

It is a migration like any other, with the same caps and charges, but for the hand-over: the
source confirms that the container is gone before the target may start it. If the target cannot,
the source starts it again. These orders never expire: until they are answered nobody knows.
"""

from domain.container import Container, ContainerResized, ContainerStarted, ContainerStopped
from domain.fleet import Fleet
from domain.messages import Event, HostId, Instant, MigrationId, OrderId
from domain.migration import (
    Migration,
    MigrationCompleted,
    MigrationGranted,
    MigrationReturning,
    MigrationReverted,
    MigrationStopped,
)
from domain.orders import Order, OrderIssued, ReportOrder, Start, Stop, next_order
from domain.placement import Chosen
from domain.software import Software
from domain.step import start_work

NEVER = Instant(0)


def cold_word(
    fleet: Fleet, container: Container, migration: MigrationId, chosen: Chosen
) -> tuple[Event, ...]:
    """Give the word for a cold move: charge both hosts, and order the source to stop it."""
    order = next_order(fleet.next_number("order"))
    granted = MigrationGranted(
        migration,
        container.id,
        container.host,
        chosen.host,
        order,
        NEVER,
        chosen.why,
        cold=True,
    )
    issued = OrderIssued(order, container.host, container.id, Stop(), migration, NEVER)
    return (granted, issued)


def left_behind(fleet: Fleet, container: Container, host: HostId) -> bool:
    """Say whether `host` speaks of a copy that it confirmed to be gone: a late word."""
    migration = fleet.migrations.get(container.migration) if container.migration else None
    if migration is None or not migration.stopped_at:
        return False
    return host != (migration.source if migration.returning else migration.target)


def answered(fleet: Fleet, order: Order, report: ReportOrder, now: Instant) -> tuple[Event, ...]:
    """Return what follows from an answer in a cold move; nothing if it is not the awaited one."""
    migration = fleet.migrations.get(MigrationId(order.saga))
    container = fleet.containers.get(order.container)
    if migration is None or container is None or migration.order != order.id:
        return ()
    if isinstance(order.work, Stop):
        return stopped(fleet, migration, container, report, now)
    runs = report.done or report.running
    facts = runs_now(container, order, report) if runs else ()
    return (*facts, *started(fleet, migration, report, now))


def start_order(
    fleet: Fleet, migration: Migration, container: Container, to: HostId
) -> tuple[OrderId, OrderIssued]:
    """Return the order to start a container with its size of now, and its id."""
    order = next_order(fleet.next_number("order"))
    layer = fleet.layers[container.environment, container.layer]
    work = start_work(fleet, container, container.software or layer.software)
    return order, OrderIssued(order, to, container.id, work, migration.id, NEVER)


def stopped(
    fleet: Fleet, migration: Migration, container: Container, report: ReportOrder, now: Instant
) -> tuple[Event, ...]:
    """Start it on the target once it is confirmed that it does not run on the source.

    One that never ran is only to be elsewhere: the operation it waits for will start it there.
    """
    if not report.done:
        down = container.running and not report.running
        lost = (ContainerStopped(container.id, report.detail),) if down else ()
        return (*lost, reverted(migration, report.detail, 0, 0))
    target = HostId(str(migration.target))
    if container.unborn:
        gone = f"host {target} is lost" if fleet.hosts[target].lost else ""
        total = now - migration.granted_at
        return (
            reverted(migration, gone, 0, 0) if gone else completed(migration, target, 0, total),
        )
    ended = f"stopped on {migration.source}, to be started on {migration.target}"
    down_now = (ContainerStopped(container.id, ended),) if container.running else ()
    if fleet.hosts[target].lost:
        order, issued = start_order(fleet, migration, container, migration.source)
        back = MigrationReturning(migration.id, container.id, order, f"host {target} is lost")
        return (*down_now, MigrationStopped(migration.id, container.id, order), back, issued)
    order, issued = start_order(fleet, migration, container, target)
    return (*down_now, MigrationStopped(migration.id, container.id, order), issued)


def runs_now(container: Container, order: Order, report: ReportOrder) -> tuple[Event, ...]:
    """Return what is so once the container was started."""
    work = order.work
    if report.done and isinstance(work, Start):
        begun = ContainerStarted(container.id, Software(work.image, work.application))
        return (begun, ContainerResized(container.id, work.cloudlets, work.limit))
    return () if container.running else (ContainerStarted(container.id),)


def started(
    fleet: Fleet, migration: Migration, report: ReportOrder, now: Instant
) -> tuple[Event, ...]:
    """End the move where it was started; what the target could not start goes back."""
    runs = report.done or report.running
    freeze, total = now - migration.stopped_at, now - migration.granted_at
    if migration.returning:
        again = "" if runs else f"; nor could {migration.source} start it again: {report.detail}"
        return (reverted(migration, migration.detail + again, freeze, total),)
    target = HostId(str(migration.target))
    if runs:
        return (completed(migration, target, freeze, total),)
    return back(fleet, migration, f"{target} could not start it: {report.detail}")


def back(fleet: Fleet, migration: Migration, why: str) -> tuple[Event, ...]:
    """Start it on its source again; if that is lost meanwhile, the move is over all the same."""
    if fleet.hosts[migration.source].lost:
        return (reverted(migration, f"{why}; host {migration.source} is lost", 0, 0),)
    container = fleet.containers[migration.container]
    order, issued = start_order(fleet, migration, container, migration.source)
    return (MigrationReturning(migration.id, container.id, order, why), issued)


def lost(fleet: Fleet, migration: Migration, host: HostId) -> tuple[Event, ...]:
    """Return what follows when a host of a cold move is lost; nothing if another one answers."""
    why = f"host {host} is lost"
    starts_there = migration.stopped_at > 0 and not migration.returning
    if host == migration.target:
        return back(fleet, migration, why) if starts_there else ()
    return () if starts_there else (reverted(migration, why, 0, 0),)


def completed(migration: Migration, target: HostId, freeze: int, total: int) -> MigrationCompleted:
    return MigrationCompleted(
        migration.id, migration.container, migration.source, target, freeze, total
    )


def reverted(migration: Migration, detail: str, freeze: int, total: int) -> MigrationReverted:
    return MigrationReverted(
        migration.id,
        migration.container,
        migration.source,
        HostId(str(migration.target)),
        detail,
        freeze,
        total,
    )
