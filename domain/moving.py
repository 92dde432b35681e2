"""The saga of a live migration: may it begin, begin it, hear how it ended.

The word is given once (`MigrationGranted`); from then on only the source agent knows, and what it
reports is what happened. A deadline that passes does not decide anything: the hand-over is called
off and the agent is asked where the container is.
"""

from msgspec.structs import replace

from domain.availability import obstacle
from domain.container import CapacityForced, Container, ContainerStopped, Placing
from domain.decider import NOTHING, Decision, Outcome
from domain.fleet import Fleet
from domain.layers import standstill, stopped
from domain.messages import (
    Accepted,
    Code,
    ContainerId,
    Event,
    HostId,
    Instant,
    MigrationId,
    Refusal,
)
from domain.migration import (
    ARRIVING_MAX,
    LEAVING_MAX,
    MOVING_MAX,
    QUEUE_MAX_MS,
    SLACK_MS,
    GrantMigration,
    MigrateContainer,
    Migration,
    MigrationAbandoned,
    MigrationCompleted,
    MigrationGranted,
    MigrationOverdue,
    MigrationRequested,
    MigrationReverted,
    MigrationState,
    MigrationWaiting,
)
from domain.orders import CallOff, MigrateOut, OrderIssued, ReportOrder, next_order
from domain.placement import (
    Chosen,
    Wish,
    cannot_move,
    objection,
    place,
    reluctance,
    wish_for,
)
from domain.scaling import find_container

MEND = (
    "`restow doctor` on that host says what lacks, and its agent looks again when it begins;"
    " an offline evacuation moves cold"
)


def migrate(fleet: Fleet, ask: MigrateContainer, now: Instant) -> Outcome:
    """Request a migration; it begins at once, or waits for what it needs."""
    container = find_container(fleet, ask.container)
    if isinstance(container, Refusal):
        return container
    if ask.target is not None and ask.target == container.host:
        return NOTHING
    wrong = impossible(fleet, container, ask)
    if wrong is not None:
        return wrong
    target = choose(fleet, container, ask.target, force=ask.force)
    if isinstance(target, Refusal):
        return target
    migration = MigrationId(f"mv{fleet.next_number('migration')}")
    why = waits_for(fleet, container, target.host)
    if why and not ask.queue:
        return Refusal(
            Code.AVAILABILITY_WOULD_BREAK if "only operable" in why else Code.OPERATION_BUSY,
            f"{container.id} cannot move now: {why}; let it queue (queue=true) or ask later",
            "$.container",
        )
    until = Instant(now + QUEUE_MAX_MS) if why else Instant(now + ask.deadline_s * 1_000)
    named = HostId(ask.target) if ask.target else None
    request = MigrationRequested(
        migration,
        container.id,
        container.host,
        named,
        ask.deadline_s * 1_000,
        until,
        why,
        ask.force,
        ask.reason,
    )
    facts: tuple[Event, ...] = (request,)
    if not why:
        force = excess(fleet, container, target.host, ask.reason) if ask.force else ()
        move = move_of(container, migration, target.host, ask.deadline_s * 1_000)
        facts = (request, *force, *word(fleet, container, move, target.why, now))
    return Decision(facts, answer=Accepted(operation=migration, containers=(container.id,)))


def impossible(fleet: Fleet, container: Container, ask: MigrateContainer) -> Refusal | None:
    """Say what prevents a migration, whatever the target."""
    if container.migration is not None:
        return Refusal(
            Code.OPERATION_BUSY,
            f"migration {container.migration} has {container.id}; wait until it has ended",
            "$.container",
            {"migration": str(container.migration)},
        )
    if stopped(fleet, fleet.layers[container.environment, container.layer]):
        return standstill(container.environment)
    if not container.running:
        return Refusal(
            Code.MIGRATION_NOT_POSSIBLE,
            f"{container.id} does not run, so there is nothing to move live; start it first",
            "$.container",
        )
    unable = cannot_move(fleet.hosts[container.host])
    if unable:
        return Refusal(Code.MIGRATION_NOT_POSSIBLE, f"{container.id} cannot go: {unable}; {MEND}")
    if ask.force and ask.target is None:
        return Refusal(Code.REQUEST_INVALID, "force=true wants a named target", "$.target")
    return None


def wish(fleet: Fleet, container: Container, *, live: bool = True) -> Wish:
    """Say what a container needs where it moves to."""
    layer = fleet.layers[container.environment, container.layer]
    return replace(wish_for(fleet, layer, container), live=live)


def unknown_target(host: HostId) -> Refusal:
    return Refusal(
        Code.HOST_NOT_FOUND,
        f"there is no host {host}; leave target out and placement chooses",
        "$.target",
    )


def choose(
    fleet: Fleet,
    container: Container,
    target: str | None,
    *,
    force: bool = False,
    live: bool = True,
) -> Chosen | Refusal:
    """Return where the container is to go: the named host if it fits, or the best one."""
    wanted = wish(fleet, container, live=live)
    if target is None:
        return place(fleet, wanted)
    host = HostId(target)
    if host not in fleet.hosts:
        return unknown_target(host)
    if fleet.hosts[host].lost:
        why = f"{container.id} cannot go to {host}, which is lost; name another host, or none"
        return Refusal(Code.HOST_LOST, why, "$.target")
    unable = cannot_move(fleet.hosts[host]) if live else ""
    if unable:
        why = f"{container.id} cannot go to {host}: {unable}; {MEND}"
        return Refusal(Code.MIGRATION_NOT_POSSIBLE, why, "$.target")
    against = "" if force else reluctance(fleet, wanted, host)
    against = against or objection(fleet, wanted, host)
    if against:
        apart = "anti-affinity" in against
        return Refusal(
            Code.ANTIAFFINITY_VIOLATED if apart else Code.CAPACITY_INSUFFICIENT,
            f"{container.id} cannot go to {host}: {against};"
            " leave target out and placement chooses",
            "$.target",
        )
    return Chosen(host, Placing("named", len(fleet.hosts), 1))


def excess(
    fleet: Fleet, container: Container, target: HostId, reason: str
) -> tuple[CapacityForced, ...]:
    """Record what a forced move overcomes: by how much it overloads its target, if at all."""
    if not reluctance(fleet, wish(fleet, container), target):
        return ()
    over = max(container.allocated - fleet.hosts[target].free, 0)
    return (CapacityForced(target, container.id, over, reason),)


def waits_for(fleet: Fleet, container: Container, target: HostId) -> str:
    """Say what a migration must wait for, "" if it may begin."""
    if container.claim:
        return f"{container.claim} has {container.id}"
    source = fleet.hosts[container.host]
    if source.leaving >= LEAVING_MAX:
        return f"{source.leaving} migrations leave {source.id} (at most {LEAVING_MAX})"
    arriving = fleet.hosts[target].arriving
    if arriving >= ARRIVING_MAX:
        return f"{arriving} migrations arrive at {target} (at most {ARRIVING_MAX})"
    if len(fleet.moving) >= MOVING_MAX:
        return f"{len(fleet.moving)} migrations are under way (at most {MOVING_MAX})"
    layer = fleet.layers[container.environment, container.layer]
    return obstacle(fleet, container) if len(layer.containers) > 1 else ""


def word(
    fleet: Fleet, container: Container, move: MigrateOut, why: Placing, now: Instant
) -> tuple[Event, ...]:
    """Give the word: charge both hosts, and order the source agent to begin."""
    order = next_order(fleet.next_number("order"))
    expires = Instant(now + move.deadline_ms)
    until = Instant(expires + SLACK_MS)
    migration = move.migration
    granted = MigrationGranted(
        migration, container.id, container.host, move.target, order, until, why
    )
    return (granted, OrderIssued(order, container.host, container.id, move, migration, expires))


def move_of(
    container: Container, migration: MigrationId, target: HostId, deadline_ms: int
) -> MigrateOut:
    """Return what the source agent is to do."""
    return MigrateOut(
        migration,
        target,
        deadline_ms,
        container.allocated,
        container.limit,
        container.disk_gib,
    )


def grant(fleet: Fleet, ask: GrantMigration, now: Instant) -> Outcome:
    """Look at a waiting migration again: begin it, let it wait on, or give it up."""
    migration = fleet.migrations.get(MigrationId(ask.migration))
    if migration is None or migration.state is not MigrationState.WAITING:
        return NOTHING
    container = fleet.containers.get(migration.container)
    if container is None or not container.running:
        return Decision((abandon(migration, "the container does not run any more"),))
    if migration.target == container.host:
        return Decision((abandon(migration, "the container is there already"),))
    chosen = choose(fleet, container, migration.target, force=migration.forced)
    late = now >= migration.until
    if isinstance(chosen, Refusal):
        never = late or chosen.code is Code.HOST_NOT_FOUND
        if never:
            return Decision((abandon(migration, chosen.detail),))
        unable = f"{migration.target} cannot" if migration.target else "no host can"
        return wait_on(migration, f"{unable} take {container.id} now")
    unable = cannot_move(fleet.hosts[container.host])
    why = unable or waits_for(fleet, container, chosen.host)
    if why and late:
        return Decision((abandon(migration, f"waited too long: {why}"),))
    if why:
        return wait_on(migration, why)
    force = excess(fleet, container, chosen.host, migration.reason) if migration.forced else ()
    move = move_of(container, migration.id, chosen.host, migration.deadline_ms)
    return Decision((*force, *word(fleet, container, move, chosen.why, now)))


def wait_on(migration: Migration, why: str) -> Outcome:
    """Let a migration wait on; what for is written where it is something else by now."""
    if why == migration.waits_for:
        return NOTHING
    return Decision((MigrationWaiting(migration.id, why),))


def abandon(migration: Migration, why: str) -> MigrationAbandoned:
    return MigrationAbandoned(migration.id, migration.container, why)


def call_off(fleet: Fleet, migration: Migration, why: str) -> tuple[Event, ...]:
    """Forbid the hand-over if it has not happened, and ask the source agent where things stand.

    The order to call off never expires: until it is answered nobody knows where the container is.
    """
    if migration.state is not MigrationState.MOVING or migration.cold:
        return ()
    order = next_order(fleet.next_number("order"))
    never = Instant(0)
    issued = OrderIssued(
        order, migration.source, migration.container, CallOff(migration.id), migration.id, never
    )
    return (MigrationOverdue(migration.id, order, why), issued)


def settle(fleet: Fleet, migration: MigrationId, report: ReportOrder) -> tuple[Event, ...]:
    """Return how a migration ended by what its agents say; nothing if that is known.

    A container that is at home on a lost host now does not run.
    """
    old = fleet.migrations.get(migration)
    if old is None or old.finished_at or old.target is None or old.order is None:
        return ()
    home = old.target if report.located == old.target else old.source
    return (*fallen(fleet, old.container, home), *ended(old, report))


def fallen(fleet: Fleet, name: ContainerId, home: HostId) -> tuple[ContainerStopped, ...]:
    """Return that a container does not run, if its home is lost and nobody has said so yet."""
    container = fleet.containers[name]
    if not container.running or not fleet.hosts[home].lost:
        return ()
    return (ContainerStopped(name, f"host {home} is lost"),)


def ended(old: Migration, report: ReportOrder) -> tuple[Event, ...]:
    """Return how a migration ended by what is reported."""
    if old.target is None:
        return ()
    if report.located == old.target:
        return (
            MigrationCompleted(
                old.id, old.container, old.source, old.target, report.freeze_ms, report.total_ms
            ),
        )
    detail = report.detail or old.detail or "the source agent gave no reason"
    return (
        MigrationReverted(
            old.id,
            old.container,
            old.source,
            old.target,
            detail,
            report.freeze_ms,
            report.total_ms,
        ),
    )
