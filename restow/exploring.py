"""Every way that a small region can go: all inputs at every state, by search, none by hand.

A search starts from a region in which something was just asked. At every state each outstanding
order may succeed or fail, each container fall ill or recover, each deadline pass, each command of
the search be asked. States that differ only in the hour or in the numbers of orders are one.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from domain.chronicle import evolve
from domain.container import Container
from domain.deadlines import DeadlinePassed
from domain.decider import Ask
from domain.evacuation import (
    PauseEvacuation,
    ResumeEvacuation,
    StopEvacuation,
)
from domain.facts import Fact
from domain.fleet import Fleet
from domain.growth import CancelGrowth
from domain.messages import AskId, Command, Instant
from domain.operation import (
    CancelOperation,
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
from domain.rebalance import (
    PauseRebalance,
    ResumeRebalance,
    StopRebalance,
)
from domain.region import Region
from restow.sameness import key

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
    seen = {name_of(world)}
    frontier = deque([world])
    while frontier:
        world = frontier.popleft()
        for heard in inputs(world, search.without):
            new, happened = take(world, heard)
            yield from happened
            name = name_of(new)
            if name not in seen:
                seen.add(name)
                if under_way(new):
                    frontier.append(new)
        if len(seen) > STATES_MAX:
            message = f"search {search.name!r} has more than {STATES_MAX} states"
            raise AssertionError(message)


def name_of(world: World) -> object:
    return key(world.fleet, world.now), world.left


def under_way(world: World) -> bool:
    """Say whether some saga is not over yet."""
    fleet = world.fleet
    operations = any(not one.finished_at for one in fleet.operations.values())
    emptied = any(not one.finished_at for one in fleet.evacuations.values())
    if operations or emptied or fleet.growing:
        return True
    if any(not one.finished_at for one in fleet.recoveries.values()):
        return True
    if any(not one.finished_at for one in fleet.rebalances.values()):
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


STEERED: tuple[tuple[Callable[[Fleet], Iterable[Any]], str, tuple[type[Command], ...]], ...] = (
    (
        lambda fleet: fleet.evacuations.values(),
        "evacuation",
        (PauseEvacuation, ResumeEvacuation, StopEvacuation),
    ),
    (
        lambda fleet: fleet.rebalances.values(),
        "rebalance",
        (PauseRebalance, ResumeRebalance, StopRebalance),
    ),
    (
        lambda fleet: fleet.operations.values(),
        "operation",
        (PauseOperation, ResumeOperation, CancelOperation),
    ),
)
"""What may be paused, resumed and given up while it goes on."""


def steering(world: World) -> Iterator[Input]:
    """Give what may be asked of operations, evacuations, growths, rebalances that go on."""
    for growth in world.fleet.growing:
        yield asked(CancelGrowth(growth=growth), world)
    for table, noun, shapes in STEERED:
        for one in table(world.fleet):
            for shape in shapes if not one.finished_at else ():
                command = shape(**{noun: one.id})
                about = one.id if noun == "operation" else ""
                yield replace(asked(command, world), about=about)
