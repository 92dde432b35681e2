"""Every way that a small region can go: all inputs at every state, by search, none by hand.

A search starts from a region in which something was just asked. At every state each outstanding
order may succeed or fail, each container fall ill or recover, each deadline pass, each command of
the search be asked. States that differ only in the hour or in the numbers of orders are one.
"""

from collections import Counter, deque
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from domain.chronicle import evolve
from domain.container import Container
from domain.deadlines import DeadlinePassed
from domain.decider import Ask
from domain.evacuation import (
    Evacuation,
    PauseEvacuation,
    ResumeEvacuation,
    StopEvacuation,
)
from domain.facts import Fact
from domain.fleet import Fleet
from domain.growth import CancelGrowth, Growth
from domain.messages import AskId, Command, ContainerId, Instant, number_of
from domain.migration import Migration
from domain.operation import (
    GRACE_MS,
    TTL_MS,
    CancelOperation,
    Operation,
    OperationState,
    PauseOperation,
    ResumeOperation,
)
from domain.orders import (
    CallOff,
    MigrateOut,
    Order,
    Redeploy,
    ReportHealth,
    ReportOrder,
    ReportPhase,
    Restart,
    Start,
    Stop,
)
from domain.recovery import Recovery
from domain.region import Region
from domain.reports import is_overtaken

START = Instant(1_700_000_000_000)
STATES_MAX = 20_000
"""States that one search may have; more is a search too large to be run at every change."""
ASK = AskId("search")


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A region to search: how it is begun, what is asked first, what may be asked once later.

    Inputs called one of `without` are left out, where they would make the search too large.
    """

    name: str
    begin: tuple[Command, ...]
    first: tuple[Command, ...]
    later: tuple[Command, ...] = ()
    without: frozenset[str] = frozenset()


class Input(msgspec.Struct, frozen=True):
    """Something that can happen to a region: what it is called, whom it is about, and the ask."""

    name: str
    about: str
    command: Command
    at: Instant


class Happening(msgspec.Struct, frozen=True):
    """One event: what was heard, the fleet before and after it, and all facts of its commit."""

    heard: Input
    event: Fact
    before: Fleet
    after: Fleet
    commit: tuple[Fact, ...]


class World(msgspec.Struct, frozen=True):
    """A state of a search; `left` may still be asked."""

    fleet: Fleet
    now: Instant
    left: tuple[Command, ...] = ()


def explore(search: Search) -> Iterator[Happening]:
    """Give everything that can happen from where the search begins, each state once."""
    world = settled(search)
    for command in search.first:
        world, happened = take(world, asked(command, world))
        yield from happened
    seen = {key(world)}
    frontier = deque([world])
    while frontier:
        world = frontier.popleft()
        for heard in inputs(world, search.without):
            new, happened = take(world, heard)
            yield from happened
            name = key(new)
            if name not in seen:
                seen.add(name)
                if under_way(new):
                    frontier.append(new)
        if len(seen) > STATES_MAX:
            message = f"search {search.name!r} has more than {STATES_MAX} states"
            raise AssertionError(message)


def under_way(world: World) -> bool:
    """Say whether some saga is not over yet."""
    fleet = world.fleet
    operations = any(not one.finished_at for one in fleet.operations.values())
    emptied = any(not one.finished_at for one in fleet.evacuations.values())
    if operations or emptied or fleet.growing:
        return True
    if any(not one.finished_at for one in fleet.recoveries.values()):
        return True
    return any(not one.finished_at for one in fleet.migrations.values())


def settled(search: Search) -> World:
    """Return the world after all that was begun has gone well, one after the other."""
    world = World(Fleet(), START)
    for command in search.begin:
        world, _ = take(world, asked(command, world))
        while todo := going_well(world):
            world, _ = take(world, todo[0])
    return replace(world, left=search.later)


def asked(command: Command, world: World) -> Input:
    return Input(str(command.__struct_config__.tag), "", command, world.now)


def take(world: World, heard: Input) -> tuple[World, tuple[Happening, ...]]:
    """Let one thing happen and give its events one by one; the world before stays as it is."""
    region = Region()
    region.fleet = world.fleet
    now = Instant(max(world.now, heard.at))
    _, facts = region.try_out(Ask(ASK, heard.command), now)
    happened: list[Happening] = []
    before = world.fleet
    for fact in facts:
        after = copy(before)
        evolve(after, fact, now)
        happened.append(Happening(heard, fact, before, after, facts))
        before = after
    left = tuple(command for command in world.left if command is not heard.command)
    return World(before, now, left), tuple(happened)


def copy(fleet: Fleet) -> Fleet:
    """Return a fleet that changes by itself; the aggregates in its tables are values."""
    new = Fleet()
    for name, table in vars(fleet).items():
        if isinstance(table, dict):
            vars(new)[name] = dict(table)  # pyright: ignore[reportUnknownArgumentType]
    return new


# What may happen


def inputs(world: World, without: frozenset[str]) -> tuple[Input, ...]:
    """Return everything that may happen next."""
    everything = (
        *going_well(world),
        *going_wrong(world),
        *phases(world),
        *dues(world),
        *steering(world),
        *(asked(command, world) for command in world.left),
    )
    return tuple(one for one in everything if one.name not in without)


def going_well(world: World) -> tuple[Input, ...]:
    """Return what hosts report when all goes well: orders done, containers healthy."""
    fleet, now = world.fleet, world.now
    return (
        *(Input(well(o), o.container, done(o), now) for o in fleet.orders.values()),
        *(
            Input("healthy", one.id, health(one), now)
            for one in fleet.containers.values()
            if one.running and not one.healthy
        ),
    )


def work(order: Order) -> str:
    return str(order.work.__struct_config__.tag)


def well(order: Order) -> str:
    """Return what it is called when an order is done."""
    located = isinstance(order.work, CallOff)
    return f"{work(order)} {'says on the source' if located else 'done'}"


def done(order: Order) -> ReportOrder:
    """Return the report of an order done; who is asked where a container is has it still."""
    move = order.work if isinstance(order.work, MigrateOut) else None
    located = move.target if move else order.to
    return ReportOrder(
        ask=ASK, host=order.to, order=order.id, done=True, located=located, freeze_ms=1, total_ms=2
    )


def health(one: Container) -> ReportHealth:
    return ReportHealth(ask=ASK, host=one.host, container=one.id, healthy=not one.healthy)


def going_wrong(world: World) -> Iterator[Input]:
    """Give what hosts report when it does not: orders failed, containers ill or down."""
    fleet, now = world.fleet, world.now
    for order in fleet.orders.values():
        for name, report in failures(fleet, order):
            yield Input(f"{work(order)} {name}", order.container, report, now)
    for one in fleet.containers.values():
        if one.running and one.healthy:
            yield Input("unhealthy", one.id, health(one), now)
        if one.running:
            yield Input("down", one.id, replace(health(one), running=False), now)
        elif any(begins(order, one) for order in fleet.orders.values()):
            yield Input("up before it is said", one.id, replace(health(one), healthy=True), now)


def begins(order: Order, one: Container) -> bool:
    """Say whether an order is to make this container run."""
    return order.container == one.id and isinstance(order.work, Start | Restart | Redeploy)


def failures(fleet: Fleet, order: Order) -> Iterator[tuple[str, ReportOrder]]:
    """Give every way that an order can end other than well."""
    if isinstance(order.work, CallOff):
        target = fleet.migrations[order.work.migration].target
        yield "says on the target", replace(done(order), located=target)
        return
    failed = replace(done(order), done=False, detail="it went wrong", located=order.to)
    yield "failed", replace(failed, running=not isinstance(order.work, Start))
    cold = isinstance(order.work, Stop) and order.saga.startswith("mv")
    if cold or isinstance(order.work, Restart | Redeploy):
        yield "failed, and it is down", replace(failed, running=False)


def phases(world: World) -> Iterator[Input]:
    """Give the phase that each migration may reach next; one stands for all of them."""
    for one in world.fleet.migrations.values():
        if one.id in world.fleet.moving and not one.phases:
            report = ReportPhase(
                ask=ASK, host=one.source, migration=one.id, phase="frozen", after_ms=1
            )
            yield Input("phase", one.id, report, world.now)


def dues(world: World) -> Iterator[Input]:
    """Give the deadline that passes next, or those that pass together."""
    first = min(world.fleet.deadlines.values(), default=None)
    for saga, due in world.fleet.deadlines.items():
        if due == first:
            yield Input("deadline", saga, DeadlinePassed(saga=saga, due=due), due)


def steering(world: World) -> Iterator[Input]:
    """Give what may be asked of operations, evacuations and growths that are not over."""
    for growth in world.fleet.growing:
        yield asked(CancelGrowth(growth=growth), world)
    for one in world.fleet.evacuations.values():
        if not one.finished_at:
            for asking in (PauseEvacuation, ResumeEvacuation, StopEvacuation):
                yield asked(asking(evacuation=one.id), world)
    for operation in world.fleet.operations.values():
        if operation.state is not OperationState.FINISHED:
            for shape in (PauseOperation, ResumeOperation, CancelOperation):
                command = shape(operation=operation.id)
                name = str(command.__struct_config__.tag)
                yield Input(name, operation.id, command, world.now)


# When two states are one


def key(world: World) -> object:
    """Return what a state is, apart from the hour and the numbers of its orders."""
    fleet, now = world.fleet, world.now
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
        tuple(recovery_key(one, now) for _, one in sorted(fleet.recoveries.items())),
        tuple((host.id, host.state) for host in fleet.hosts.values()),
        tuple(growth_key(one, now) for _, one in sorted(fleet.growths.items())),
        tuple((one.rule, one.enabled, one.operation) for one in fleet.triggers.values()),
        tuple(
            (o.operation, o.queue, o.leaving, o.software) for _, o in sorted(fleet.layers.items())
        ),
        tuple(sorted(orders_key(fleet))),
        tuple(sorted((saga, due - now) for saga, due in fleet.deadlines.items())),
        world.left,
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
