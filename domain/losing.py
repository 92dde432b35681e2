"""Decisions about lost hosts: declared or not, what ends with one, and how one comes back.

To declare a host lost is to say that nothing runs there that was to be fenced. So at once its
containers do not run, its orders are answered in its place, its migrations are settled with the
host that is left, and a recovery begins.
"""

from collections.abc import Collection
from itertools import chain, zip_longest

from msgspec.structs import replace

from domain import offline
from domain.container import (
    Container,
    ContainerHalted,
    ContainerRemoved,
    ContainerStarted,
    ContainerStopped,
)
from domain.decider import NOTHING, Decision, Outcome
from domain.fleet import Fleet
from domain.host import Host, HostLost, HostReturned, unknown
from domain.layers import gone
from domain.loss import (
    JURORS_MAX,
    STORM_SHARE,
    JurorsAgreed,
    JurorsNamed,
    LoseHost,
    ReturnHost,
    SettleLost,
    Silent,
    StormPassed,
    StormRaised,
    WatchHosts,
)
from domain.messages import (
    Accepted,
    Code,
    ContainerId,
    Event,
    HostId,
    Instant,
    MigrationId,
    OperationId,
    Refusal,
)
from domain.migration import Migration, MigrationOverdue, MigrationReverted
from domain.moving import fallen
from domain.orders import (
    CallOff,
    Halt,
    MigrateOut,
    Order,
    OrderAnswered,
    OrderIssued,
    Stop,
    next_order,
)
from domain.routing import take_away
from domain.software import Software


def wanted_seats(fleet: Fleet) -> tuple[HostId, ...]:
    """Return who is to be juror: those that are, as far as they are not lost, then one a zone."""
    hosts = fleet.hosts
    stay = tuple(name for name in fleet.seats.hosts if name in hosts and not hosts[name].lost)
    if len(stay) >= JURORS_MAX:
        return stay
    there = {name: host for name, host in hosts.items() if not host.lost}
    if len(stay) == len(there):
        return stay
    zones: dict[str, list[HostId]] = {}
    for name in sorted(there.keys() - set(stay)):
        zones.setdefault(there[name].zone, []).append(name)
    turns = chain.from_iterable(zip_longest(*(zones[zone] for zone in sorted(zones))))
    new = tuple(name for name in turns if name is not None)
    return (*stay, *new)[:JURORS_MAX]


def watch(fleet: Fleet, ask: WatchHosts) -> Outcome:
    """Take in what the watch has seen: other jurors, a storm, or lost hosts."""
    silent = tuple(
        one for one in ask.silent if one.host in fleet.hosts and not fleet.hosts[one.host].lost
    )
    why = storm_of(fleet, silent, steady=ask.steady)
    if why:
        return Decision((*seated(fleet, ask.agreed), *raised(fleet, silent, why)))
    passed = (StormPassed(),) if fleet.storm else ()
    lost = (fact for one in silent for fact in lose(fleet, HostLost(one.host, one.silent_ms)))
    return Decision((*seated(fleet, ask.agreed), *passed, *lost))


def seated(fleet: Fleet, agreed: int) -> tuple[Event, ...]:
    """Name other jurors, or end the time in which both those before and those named count."""
    seats = fleet.seats
    if seats.next:
        done = agreed == seats.version
        return (JurorsAgreed(seats.version + 1, seats.next),) if done else ()
    wanted = wanted_seats(fleet)
    if wanted == seats.hosts:
        return ()
    if not seats.hosts:
        return (JurorsAgreed(seats.version + 1, wanted),)
    return (JurorsNamed(seats.version + 1, wanted),)


def storm_of(fleet: Fleet, silent: tuple[Silent, ...], *, steady: bool) -> str:
    """Say why none of these hosts may be taken for lost, "" if they may."""
    if not silent:
        return ""
    if not steady:
        return "no majority of the jurors holds a lease: this side may be the one cut off"
    hosts = len(fleet.hosts)
    out = len(silent) + sum(host.lost for host in fleet.hosts.values())
    limit = max(1, int(hosts * STORM_SHARE))
    if out <= limit:
        return ""
    return f"{out} of {hosts} hosts are silent or lost at once; up to {limit} are believed"


def raised(fleet: Fleet, silent: tuple[Silent, ...], why: str) -> tuple[Event, ...]:
    names = tuple(sorted(one.host for one in silent))
    if fleet.storm is not None and fleet.storm.silent == names:
        return ()
    return (StormRaised(names, why),)


def lose_host(fleet: Fleet, ask: LoseHost) -> Outcome:
    """Take a human's word that a host is dead."""
    host = fleet.hosts.get(HostId(ask.host))
    if host is None:
        return unknown(HostId(ask.host))
    if not ask.reason.strip():
        return Refusal(
            Code.REQUEST_INVALID,
            f"say why {host.id} is dead for certain (reason): if it lives, containers run twice",
            "$.reason",
        )
    if host.lost and host.vouched:
        return NOTHING
    facts = lose(fleet, HostLost(host.id, vouched=True, reason=ask.reason))
    return Decision(facts, answer=Accepted())


def lose(fleet: Fleet, event: HostLost) -> tuple[Event, ...]:
    """Return what is so at once when a host is lost."""
    why = f"host {event.host} is lost"
    fell = (
        ContainerStopped(one.id, why)
        for one in fleet.containers.values()
        if one.host == event.host and one.running
    )
    owed = [order for order in fleet.orders.values() if order.to == event.host]
    ends = {order.container for order in owed if takes_away(order)}
    leave = (fact for name in sorted(ends) for fact in removed(fleet, name))
    records = records_of(fleet, ends)
    answers = (given_up(fleet, order, why) for order in owed)
    halted = (
        ContainerHalted(order.container)
        for order in owed
        if order.container not in ends and halts(fleet, order)
    )
    return (*fell, *records, *leave, *halted, *answers, event)


def records_of(fleet: Fleet, gone: Collection[ContainerId]) -> tuple[Event, ...]:
    """Return the orders that take away what leads to containers that are gone with their host.

    An operation that gave up waiting for the removal had them put back into DNS.
    """
    there = (fleet.containers.get(name) for name in sorted(gone))
    found = (one for one in there if one is not None and one.routed)
    first = fleet.next_number("order")
    return tuple(take_away(fleet, one, first + nth) for nth, one in enumerate(found))


def takes_away(order: Order) -> bool:
    """Say whether an order was to remove a container: with its host it is gone."""
    return isinstance(order.work, Stop) and not order.saga.startswith("mv")


def halts(fleet: Fleet, order: Order) -> bool:
    """Say whether a step still waits for an order to halt a container, which stands still now."""
    operation = fleet.operations.get(OperationId(order.saga))
    step = operation.step(order.container) if operation else None
    return isinstance(order.work, Halt) and step is not None and step.order == order.id


def given_up(fleet: Fleet, order: Order, why: str) -> OrderAnswered:
    """Answer an order in the place of a lost host; what was to be stopped there is stopped."""
    done = takes_away(order) or halts(fleet, order)
    return OrderAnswered(order.id, order.container, done=done, detail=why, saga=order.saga)


def removed(fleet: Fleet, name: ContainerId) -> tuple[Event, ...]:
    """Return what is so when a container is gone with its host, and perhaps its layer."""
    container = fleet.containers.get(name)
    if container is None:
        return ()
    layer = fleet.layers[container.environment, container.layer]
    last = layer.containers == (name,) and layer.operation is None and not layer.queue
    ends = gone(fleet, replace(layer, containers=())) if last else ()
    return (ContainerRemoved(name), *ends)


def settle(fleet: Fleet, ask: SettleLost) -> Outcome:
    """Ask the host that is left where the container of a migration is; if none is, nowhere."""
    migration = fleet.migrations.get(MigrationId(ask.migration))
    lost = HostId(ask.host)
    if migration is None or migration.finished_at or migration.target is None:
        return Decision(release(fleet, MigrationId(ask.migration), lost))
    if migration.cold:
        return Decision(offline.lost(fleet, migration, lost))
    other = migration.target if lost == migration.source else migration.source
    why = f"host {lost} is lost"
    if fleet.hosts[other].lost:
        facts = fallen(fleet, migration.container, migration.source)
        return Decision((*facts, reverted(migration, f"{why}, and so is {other}")))
    order = next_order(fleet.next_number("order"))
    work = CallOff(migration.id, lost)
    issued = OrderIssued(order, other, migration.container, work, migration.id, Instant(0))
    return Decision((MigrationOverdue(migration.id, order, why), issued))


def release(fleet: Fleet, migration: MigrationId, lost: HostId) -> tuple[Event, ...]:
    """Tell a source that still waits for its lost target that it need not, though all is known."""
    order = next((o for o in fleet.orders.values() if moves_out(o, migration)), None)
    if order is None:
        return ()
    number = next_order(fleet.next_number("order"))
    work = CallOff(migration, lost)
    never = Instant(0)
    return (OrderIssued(number, order.to, order.container, work, migration, never),)


def moves_out(order: Order, migration: MigrationId) -> bool:
    return isinstance(order.work, MigrateOut) and order.work.migration == migration


def reverted(migration: Migration, detail: str) -> MigrationReverted:
    target = HostId(str(migration.target))
    return MigrationReverted(migration.id, migration.container, migration.source, target, detail)


def come_back(fleet: Fleet, ask: ReturnHost) -> Outcome:
    """Take a lost host in again: a new term begins, and what is left on it may be started there."""
    host = fleet.hosts.get(HostId(ask.host))
    if host is None or not host.lost or ask.term not in {-1, host.term}:
        return NOTHING
    kept = (fleet.containers.get(name) for name in ask.runs)
    run_on = (
        ContainerStarted(one.id, one.software or software_of(fleet, one))
        for one in kept
        if one is not None and one.host == host.id and not one.running
    )
    return Decision((HostReturned(host.id, host.term + 1, host.cordoned), *run_on))


def software_of(fleet: Fleet, container: Container) -> Software:
    """Return what a container was started from whose start nobody could confirm."""
    return fleet.layers[container.environment, container.layer].software


def belongs(fleet: Fleet, host: Host) -> tuple[ContainerId, ...]:
    """Return the containers that have their place on a host."""
    return tuple(one.id for one in fleet.containers.values() if one.host == host.id)


def arrives(fleet: Fleet, host: Host) -> dict[ContainerId, MigrationId]:
    """Return the containers that are on their way to a host, each with its migration."""
    coming = ((one.id, one.migration) for one in fleet.containers.values() if one.target == host.id)
    return {name: migration for name, migration in coming if migration is not None}
