"""When two states of a search are one: what they are apart from the hour and numbers of orders."""

from collections import Counter
from collections.abc import Iterator

from msgspec.structs import replace

from domain.evacuation import Evacuation
from domain.fleet import Fleet
from domain.growth import Growth
from domain.messages import ContainerId, Instant, number_of
from domain.migration import Migration
from domain.operation import GRACE_MS, TTL_MS, Operation, OperationState
from domain.rebalance import Rebalance
from domain.recovery import Recovery
from domain.reports import is_overtaken


def key(fleet: Fleet, now: Instant) -> object:
    """Return what a state is, apart from the hour and the numbers of its orders."""
    return (
        tuple(
            replace(
                one,
                resizing=one.resizing and "it is",
                unrouting=one.unrouting and "it is",
                restarts=0,
                recovered=(),
                dns_order=0,
                start_order=0,
                work_order=0,
                unrouted_at=Instant(max(0, one.unrouted_at + TTL_MS + GRACE_MS - now)),
            )
            for one in fleet.containers.values()
        ),
        tuple(operation_key(one, now) for _, one in sorted(fleet.operations.items())),
        tuple(
            migration_key(one, now)
            for _, one in sorted(fleet.migrations.items())
            if not one.finished_at
        ),
        tuple(evacuation_key(one, now) for _, one in sorted(fleet.evacuations.items())),
        tuple(rebalance_key(one, now) for _, one in sorted(fleet.rebalances.items())),
        tuple(recovery_key(one, now) for _, one in sorted(fleet.recoveries.items())),
        tuple((host.id, host.state) for host in fleet.hosts.values()),
        tuple(growth_key(one, now) for _, one in sorted(fleet.growths.items())),
        tuple((one.rule, one.enabled, one.operation) for one in fleet.triggers.values()),
        tuple(
            (o.operation, o.queue, o.leaving, o.software) for _, o in sorted(fleet.layers.items())
        ),
        tuple(sorted(orders_key(fleet))),
        tuple(sorted((saga, due - now) for saga, due in fleet.deadlines.items())),
    )


def orders_key(fleet: Fleet) -> Iterator[tuple[object, ...]]:
    """Give each order by its turn among those of its container, and whether a later one counts."""
    turns: Counter[ContainerId] = Counter()
    for one in sorted(fleet.orders.values(), key=lambda order: number_of(order.id)):
        container = fleet.containers.get(one.container)
        late = container is not None and is_overtaken(one, container)
        turns[one.container] += 1
        yield one.container, turns[one.container], one.to, str(one.work), late


def operation_key(one: Operation, now: Instant) -> object:
    if one.state is OperationState.FINISHED:
        return (one.id, one.outcome)
    steps = tuple(
        (step.planned, step.stage, step.until - now, step.unrouted, step.failed, step.ran)
        for step in one.steps
    )
    over = tuple((step.planned, step.outcome, step.ran) for step in one.over)
    rest = 0 if one.rested else one.rest_from - now
    return (
        one.id,
        one.state,
        one.todo,
        steps,
        over,
        one.until and one.until - now,
        rest,
        one.paused,
        one.cancelled,
        one.rolling_back,
    )


def evacuation_key(one: Evacuation, now: Instant) -> object:
    """Return what an evacuation is; which migrations carried it on does not matter."""
    until = one.until and one.until - now
    moves = tuple((move.wanted, move.target) for move in one.moves)
    return (one.id, one.state, one.todo, moves, one.over, until, one.outcome)


def rebalance_key(one: Rebalance, now: Instant) -> object:
    until = one.until and one.until - now
    moves = tuple(begun.move for begun in one.moves)
    return (one.id, one.state, one.todo, moves, one.over, until, one.outcome)


def recovery_key(one: Recovery, now: Instant) -> object:
    until = one.until and one.until - now
    cases = tuple((case.fallen, case.stage, case.until and case.until - now) for case in one.cases)
    return (one.id, one.todo, cases, one.over, until, one.outcome)


def growth_key(one: Growth, now: Instant) -> object:
    """Return what a growth is; how many there were before it does not matter."""
    if one.finished_at:
        return one.state
    until = one.until - now
    return (one.state, one.container, one.aim, one.todo, one.plans, one.migration, until)


def migration_key(one: Migration, now: Instant) -> object:
    until = one.until and one.until - now
    cold = (one.cold, one.stopped_at > 0, one.returning)
    return (one.id, one.state, one.source, one.target, until, one.phases, cold)
