"""What must be true of a fleet at every position, whatever was asked and whatever went wrong.

Each invariant is a function that returns sentences about what is broken; none means all is well.
It looks at a part of a fleet, which is all of it, or what a change may have broken (`parts.py`).
They are run after every event in tests, in replay (`restow audit verify`) and by the demo.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from domain.container import Container
from domain.dead import CLOCK, LETTERS_A_TENANT_MAX, LETTERS_MAX, end_of
from domain.evacuation import Kind, Move
from domain.fleet import Fleet
from domain.host import HostState
from domain.messages import Event, HostId, OperationId, RecoveryId
from domain.migration import MigrationGranted, MigrationState
from domain.networks import NETWORK_MAX
from domain.occupancy import GroupKey, groups_of
from domain.operation import OperationState, StepKind, StepStarted
from domain.parts import Part, Whole

MANY = 2
"""From how many containers on a layer has one to spare."""

Invariant = Callable[[Fleet, Part], Iterator[str]]


def capacity_holds(_fleet: Fleet, part: Part) -> Iterator[str]:
    """No host has promised more than it has, but for what was forced and recorded."""
    for host in part.hosts:
        if host.used > host.cloudlets + host.forced:
            yield f"host {host.id} has promised {host.used} of {host.cloudlets} cloudlets"
        if host.used_disk > host.disk_gib:
            yield f"host {host.id} has promised {host.used_disk} of {host.disk_gib} GiB"


def homes(one: Container) -> tuple[HostId, ...]:
    """Return the host of a container, and the one to which it moves."""
    target = one.target
    return (one.host,) if target is None or target == one.host else (one.host, target)


NOTHING = (0, 0, 0)


def books_balance(_fleet: Fleet, part: Part) -> Iterator[str]:
    """What a host has promised is what its containers, and those on their way to it, hold."""
    books: dict[HostId, tuple[int, int, int]] = {}
    for one in part.containers:
        for home in homes(one):
            used, disk, count = books.get(home, NOTHING)
            books[home] = used + one.allocated, disk + one.disk_gib, count + (home == one.host)
    for host in part.hosts:
        kept = (host.used, host.used_disk, host.containers)
        held = books.get(host.id, NOTHING)
        if kept != held:
            yield f"host {host.id} has booked {kept}, its containers hold {held}"


def limits_hold(_fleet: Fleet, part: Part) -> Iterator[str]:
    """Of every container, reserved <= allocated <= limit."""
    for one in part.containers:
        if not one.reserved <= one.allocated <= one.limit:
            yield f"{one.id} holds {one.allocated}, outside {one.reserved}..{one.limit}"


def hard_groups_hold(fleet: Fleet, part: Part) -> Iterator[str]:
    """No two containers of a hard anti-affinity group share a host, not even in passing."""
    seen: defaultdict[tuple[GroupKey, HostId], list[str]] = defaultdict(list)
    for one in part.containers:
        for group, kind in groups_of(fleet, (one.environment, one.layer)):
            if kind == "hard":
                for home in homes(one):
                    seen[group, home].append(one.id)
    for (group, host), names in seen.items():
        if len(names) > 1:
            yield f"{', '.join(sorted(names))} of hard group {group} share host {host}"


def everything_has_a_home(fleet: Fleet, part: Part) -> Iterator[str]:
    """Every container is in its layer once, on a host that is known."""
    for one in part.containers:
        layer = fleet.layers.get((one.environment, one.layer))
        if layer is None or layer.containers.count(one.id) != 1:
            yield f"{one.id} is not in its layer {one.environment}/{one.layer} exactly once"
        if one.host not in fleet.hosts:
            yield f"{one.id} is on {one.host}, which is not known"
    for layer in part.layers:
        if list(layer.containers) != sorted(layer.containers, key=lambda n: int(n[4:])):
            yield f"layer {layer.key} is out of order: {layer.containers}"


def claims_are_held(fleet: Fleet, part: Part) -> Iterator[str]:
    """Whoever has a container is at work on it."""
    for one in part.containers:
        if one.claim.startswith("op"):
            operation = fleet.operations.get(OperationId(one.claim))
            if operation is None or operation.step(one.id) is None:
                yield f"{one.id} is claimed by {one.claim}, which has no step for it"
        elif one.claim.startswith("rc"):
            recovery = fleet.recoveries.get(RecoveryId(one.claim))
            if recovery is None or recovery.case(one.id) is None:
                yield f"{one.id} is claimed by {one.claim}, which is not restarting it"
        elif one.claim and one.claim != one.migration:
            yield f"{one.id} is claimed by {one.claim}, and moves with {one.migration}"
        if (one.target is not None) != (one.claim.startswith("mv")):
            yield f"{one.id} has target {one.target} and claim {one.claim!r}"


def one_operation_a_layer(fleet: Fleet, part: Part) -> Iterator[str]:
    """At most one operation works on a layer; all others that are not over wait in its queue."""
    for one in part.operations:
        if one.state is OperationState.FINISHED:
            continue
        layer = fleet.layers.get(one.key)
        holds = layer is not None and layer.operation == one.id
        queued = layer is not None and one.id in layer.queue
        if holds == queued:
            yield f"operation {one.id} is {one.state.value}; holds: {holds}, queued: {queued}"


def moves_are_counted(fleet: Fleet, part: Part) -> Iterator[str]:
    """A host's migrations are those that are under way, and a migration ends exactly once."""
    leaving: Counter[HostId] = Counter()
    arriving: Counter[HostId] = Counter()
    for one in fleet.migrations.values():
        if one.state is MigrationState.MOVING or one.state is MigrationState.CALLING_OFF:
            leaving[one.source] += 1
            arriving[HostId(str(one.target))] += 1
    for host in part.hosts:
        if (host.leaving, host.arriving) != (leaving[host.id], arriving[host.id]):
            yield f"host {host.id} counts {host.leaving} leaving and {host.arriving} arriving"


def hosts_are_open(_fleet: Fleet, part: Part) -> Iterator[str]:
    """A host that was removed carries nothing."""
    for host in part.hosts:
        if host.state is HostState.REMOVED and host.used:
            yield f"host {host.id} is removed and has promised {host.used} cloudlets"


def the_halted_stand_still(_fleet: Fleet, part: Part) -> Iterator[str]:
    """What was stopped on purpose neither runs nor is healthy."""
    for one in part.containers:
        if one.halted and (one.running or one.healthy):
            yield f"{one.id} is halted; running: {one.running}, healthy: {one.healthy}"


def dead_letters_are_bounded(fleet: Fleet, _part: Part) -> Iterator[str]:
    """Letters are few, of each tenant too, and the oldest is looked at when its time is over."""
    of = Counter(letter.tenant for letter in fleet.dead.values())
    for tenant, count in of.items():
        if count > LETTERS_A_TENANT_MAX:
            yield f"{tenant} has {count} dead letters"
    if len(fleet.dead) > LETTERS_MAX:
        yield f"there are {len(fleet.dead)} dead letters"
    if fleet.deadlines.get(CLOCK) != end_of(fleet.dead):
        yield f"dead letters end at {end_of(fleet.dead)}, not at {fleet.deadlines.get(CLOCK)}"


def evacuating_hosts_are_closed(fleet: Fleet, _part: Part) -> Iterator[str]:
    """While a host is emptied it says so, and no container is in two evacuations' hands."""
    hands: Counter[str] = Counter()
    for one in fleet.evacuations.values():
        hands.update(move.wanted.container for move in one.moves if not is_over(fleet, move))
        if one.kind is Kind.EVACUATE and not one.finished_at:
            state = fleet.hosts[one.host].state
            if state is HostState.ACTIVE:
                yield f"{one.id} empties host {one.host}, which is {state.value}"
    for container, count in hands.items():
        if count > 1:
            yield f"{container} is moved by {count} evacuations"


def rebalances_keep_to_their_plans(fleet: Fleet, _part: Part) -> Iterator[str]:
    """One goes on at a time, within its budget, and each container of its plan is in one place."""
    going = [one.id for one in fleet.rebalances.values() if not one.finished_at]
    if len(going) > 1:
        yield f"{', '.join(going)} go on at once"
    for one in fleet.rebalances.values():
        todo = [move.container for move in one.todo]
        moving = [begun.move.container for begun in one.moves]
        names = sorted((*todo, *moving, *(ended.container for ended in one.over)))
        if names != sorted(move.container for move in one.plan):
            yield f"{one.id} plans {[move.container for move in one.plan]} and has {names}"
        if len(one.plan) > one.budget or len(moving) > one.at_once:
            yield f"{one.id} has {len(one.plan)} moves of {one.budget}, {len(moving)} at once"


def lost_hosts_do_nothing(fleet: Fleet, part: Part) -> Iterator[str]:
    """Nothing is known to run on a lost host, and nothing is ordered of one.

    Where a container is that moves is not known before its migration is settled.
    """
    for one in part.containers:
        host = fleet.hosts.get(one.host)
        if one.running and one.target is None and host is not None and host.lost:
            yield f"{one.id} runs on {one.host}, which is lost"
    for order in part.orders:
        to = fleet.hosts.get(order.to)
        if to is not None and to.lost:
            yield f"order {order.id} was given to {to.id}, which is lost"


def one_recovery_a_host(fleet: Fleet, _part: Part) -> Iterator[str]:
    """What a host carried is restarted by one recovery at a time."""
    going = Counter(one.host for one in fleet.recoveries.values() if not one.finished_at)
    for host, count in going.items():
        if count > 1:
            yield f"{count} recoveries of host {host} go on at once"


def is_over(fleet: Fleet, move: Move) -> bool:
    """Say whether a migration has ended, of which its evacuation may not have heard yet."""
    migration = fleet.migrations.get(move.migration)
    return migration is None or migration.finished_at > 0


def growths_come_to_an_end(fleet: Fleet, _part: Part) -> Iterator[str]:
    """A growth that is not over is looked at again, and a container has one at most."""
    whose = Counter(fleet.growing.values())
    for growth in fleet.growths.values():
        if growth.finished_at:
            continue
        if growth.id not in fleet.deadlines:
            yield f"growth {growth.id} is {growth.state.value} and has no deadline"
        if whose[growth.container] != 1:
            yield f"{growth.container} has {whose[growth.container]} growths"


def triggers_belong(fleet: Fleet, _part: Part) -> Iterator[str]:
    """Every trigger is in its layer, and what it began is at work on that layer."""
    for one in fleet.triggers.values():
        layer = fleet.layers.get(one.key)
        if layer is None or one.id not in layer.triggers:
            yield f"trigger {one.id} is not in its layer {one.environment}/{one.layer}"
        elif one.operation is not None and one.operation not in (layer.operation, *layer.queue):
            last = fleet.operations.get(one.operation)
            if last is not None and last.state is not OperationState.FINISHED:
                yield f"trigger {one.id} began {one.operation}, which does not work on its layer"


def networks_are_apart(fleet: Fleet, _part: Part) -> Iterator[str]:
    """Every environment has a network of its own."""
    for one in fleet.environments.values():
        if fleet.networks.get(one.network) != one.id or not 1 <= one.network <= NETWORK_MAX:
            yield f"environment {one.id} has network {one.network}, which is not its own"
    if len(fleet.networks) != len(fleet.environments):
        yield f"{len(fleet.networks)} networks of {len(fleet.environments)} environments"


INVARIANTS: tuple[Invariant, ...] = (
    capacity_holds,
    books_balance,
    limits_hold,
    hard_groups_hold,
    everything_has_a_home,
    claims_are_held,
    one_operation_a_layer,
    moves_are_counted,
    hosts_are_open,
    the_halted_stand_still,
    dead_letters_are_bounded,
    evacuating_hosts_are_closed,
    rebalances_keep_to_their_plans,
    lost_hosts_do_nothing,
    one_recovery_a_host,
    growths_come_to_an_end,
    triggers_belong,
    networks_are_apart,
)

READS: Mapping[Invariant, frozenset[str]] = {
    capacity_holds: frozenset({"hosts"}),
    books_balance: frozenset({"containers", "hosts"}),
    limits_hold: frozenset({"containers"}),
    hard_groups_hold: frozenset({"containers", "environments", "layers"}),
    everything_has_a_home: frozenset({"containers", "hosts", "layers"}),
    claims_are_held: frozenset({"containers", "operations", "recoveries"}),
    one_operation_a_layer: frozenset({"layers", "operations"}),
    moves_are_counted: frozenset({"hosts", "migrations"}),
    hosts_are_open: frozenset({"hosts"}),
    lost_hosts_do_nothing: frozenset({"containers", "hosts", "orders"}),
    one_recovery_a_host: frozenset({"recoveries"}),
    the_halted_stand_still: frozenset({"containers"}),
    dead_letters_are_bounded: frozenset({"dead", "deadlines"}),
    evacuating_hosts_are_closed: frozenset({"evacuations", "hosts", "migrations"}),
    rebalances_keep_to_their_plans: frozenset({"rebalances"}),
    growths_come_to_an_end: frozenset({"deadlines", "growing", "growths"}),
    triggers_belong: frozenset({"layers", "operations", "triggers"}),
    networks_are_apart: frozenset({"environments", "networks"}),
}
"""Which tables an invariant reads."""


@cache
def reading(tables: frozenset[str]) -> tuple[Invariant, ...]:
    """Return the invariants that read one of these tables."""
    return tuple(one for one in INVARIANTS if READS[one] & tables)


def broken_by(fleet: Fleet, event: Event) -> tuple[str, ...]:
    """Return what is about to break when `event` happens to the fleet as it is.

    Never zero: whoever takes an operable container out of service leaves another one of its layer
    operable, unless downtime was accepted, or the layer has only one or is being removed.
    """
    if isinstance(event, MigrationGranted):
        migration = fleet.migrations.get(event.migration)
        target = fleet.hosts[event.target]
        forced = migration is not None and migration.forced
        if target.state is not HostState.ACTIVE and not forced:
            return (f"{event} goes to host {target.id}, which is {target.state.value}",)
    if not isinstance(event, StepStarted | MigrationGranted):
        return ()
    one = fleet.containers[event.container]
    layer = fleet.layers[one.environment, one.layer]
    if layer.leaving or not one.operable or len(layer.containers) < MANY:
        return ()
    if isinstance(event, StepStarted):
        settings = fleet.operations[event.operation].settings
        live = event.kind is StepKind.RESIZE and not settings.remove_from_dns
        if settings.accept_downtime or live:
            return ()
    others = (fleet.containers[name] for name in layer.containers if name != one.id)
    if any(other.operable for other in others):
        return ()
    return (f"{event} leaves layer {layer.environment}/{layer.name} without an operable container",)


def broken(fleet: Fleet, part: Part | None = None) -> tuple[str, ...]:
    """Return a sentence for everything that is not as it must be.

    With `part`, what was touched since nothing was broken, no more than that is looked at.
    """
    part = part or Whole(fleet)
    looked = INVARIANTS if part.changed is None else reading(part.changed)
    return tuple(sentence for invariant in looked for sentence in invariant(fleet, part))
