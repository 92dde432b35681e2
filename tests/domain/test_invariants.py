"""Every invariant can fail: a broken fleet is planted for each, and it says what is broken."""

from collections.abc import Callable
from functools import cache
from random import Random

import pytest
from msgspec.structs import replace

from domain import invariants, rebalance
from domain.evacuation import Evacuation, Kind, Move, Wanted
from domain.fleet import Fleet
from domain.host import HostState
from domain.invariants import INVARIANTS, READS, Invariant, broken, broken_by
from domain.messages import (
    ContainerId,
    DeadId,
    EnvironmentId,
    EvacuationId,
    GrowthId,
    HostId,
    Instant,
    LayerName,
    MigrationId,
    OperationId,
    OrderId,
    RebalanceId,
    RecoveryId,
    TriggerId,
)
from domain.migration import MigrateContainer, MigrationGranted
from domain.moves import LiveMove
from domain.operation import (
    RestartLayer,
    ScaleNode,
    SetCloudletLimits,
    Settings,
    StepKind,
    StepStarted,
)
from domain.orders import Order, Stop
from domain.parts import Part, Touched, Whole
from domain.rebalance import Rebalance, RebalanceRequested
from domain.recovery import Recovery
from domain.trigger import Rule, Trigger
from restow.simulation.stories import Story, begin, wish
from restow.simulation.wishes import EMPTYING, migrate, restart_layer
from tests.examples import Scene, given, hosts, shop

NODE1, NODE2 = ContainerId("node1"), ContainerId("node2")
H1, H2, H3 = HostId("h1"), HostId("h2"), HostId("h3")
KEY = (EnvironmentId("shop"), LayerName("app"))
TR1 = TriggerId("tr1")
EV1, EV2 = EvacuationId("ev1"), EvacuationId("ev2")
MOVED = Move(Wanted(NODE2), MigrationId("mv1"), H3)
Damage = Callable[[Fleet], None]


def at_work() -> Scene:
    """Return a fleet in which a restart is under way and a move waits for it."""
    scene = given(hosts(3), shop(2, anti_affinity="hard"))
    scene.ask(MigrateContainer(container="node1"))
    scene.ask(ScaleNode(container="node1", reserved=33))
    scene.ask(RestartLayer(environment="shop", layer="app"))
    scene.ask(RestartLayer(environment="shop", layer="app"))
    return scene


def host(fleet: Fleet, **other: object) -> None:
    fleet.hosts[H1] = replace(fleet.hosts[H1], **other)


def node(fleet: Fleet, **other: object) -> None:
    fleet.containers[NODE2] = replace(fleet.containers[NODE2], **other)


def layer(fleet: Fleet, **other: object) -> None:
    fleet.layers[KEY] = replace(fleet.layers[KEY], **other)


def evacuations(fleet: Fleet, *every: Evacuation) -> None:
    fleet.evacuations.update((one.id, one) for one in every)


def evened(name: str, **other: object) -> Rebalance:
    """Return a rebalance that is to move node2."""
    plan = (LiveMove(NODE2, H2, H3, 1),)
    requested = RebalanceRequested(RebalanceId(name), plan, budget=1)
    return replace(rebalance.begin(requested, Instant(0)), **other)


def rebalances(fleet: Fleet, *every: Rebalance) -> None:
    fleet.rebalances.update((one.id, one) for one in every)


def lose(fleet: Fleet, name: HostId) -> None:
    fleet.hosts[name] = replace(fleet.hosts[name], state=HostState.LOST)


def order_to_the_lost(fleet: Fleet, name: HostId) -> None:
    lose(fleet, name)
    order = Order(OrderId("or99"), name, NODE1, Stop())
    fleet.orders[order.id] = order


def trigger(fleet: Fleet, **other: object) -> None:
    """Plant a trigger that began the operation at work, in a layer that is otherwise as said."""
    fleet.triggers[TR1] = Trigger(TR1, *KEY, Rule("cpu", 70), operation=OperationId("op2"))
    layer(fleet, **other)


DAMAGES: list[tuple[Invariant, Damage, str]] = [
    (
        invariants.capacity_holds,
        lambda fleet: host(fleet, cloudlets=0),
        "host h1 has promised 1 of 0 cloudlets",
    ),
    (
        invariants.capacity_holds,
        lambda fleet: host(fleet, disk_gib=0),
        "host h1 has promised 1 of 0 GiB",
    ),
    (
        invariants.books_balance,
        lambda fleet: host(fleet, used=7),
        "host h1 has booked (7, 1, 1), its containers hold (1, 1, 1)",
    ),
    (
        invariants.limits_hold,
        lambda fleet: node(fleet, allocated=9),
        "node2 holds 9, outside 1..1",
    ),
    (
        invariants.hard_groups_hold,
        lambda fleet: node(fleet, host=H1),
        "node1, node2 of hard group ('shop', '/app') share host h1",
    ),
    (
        invariants.hard_groups_hold,
        lambda fleet: node(fleet, target=H3),
        "node1, node2 of hard group ('shop', '/app') share host h3",
    ),
    (
        invariants.everything_has_a_home,
        lambda fleet: layer(fleet, containers=(NODE1, NODE2, NODE2)),
        "node2 is not in its layer shop/app exactly once",
    ),
    (
        invariants.everything_has_a_home,
        lambda fleet: layer(fleet, containers=(NODE1,)),
        "node2 is not in its layer shop/app exactly once",
    ),
    (
        invariants.everything_has_a_home,
        lambda fleet: node(fleet, host=HostId("h9")),
        "node2 is on h9, which is not known",
    ),
    (
        invariants.everything_has_a_home,
        lambda fleet: layer(fleet, containers=(NODE2, NODE1)),
        "layer ('shop', 'app') is out of order: ('node2', 'node1')",
    ),
    (
        invariants.claims_are_held,
        lambda fleet: node(fleet, claim="op2"),
        "node2 is claimed by op2, which has no step for it",
    ),
    (
        invariants.claims_are_held,
        lambda fleet: node(fleet, claim="op9"),
        "node2 is claimed by op9, which has no step for it",
    ),
    (
        invariants.claims_are_held,
        lambda fleet: node(fleet, claim="mv9", target=H3),
        "node2 is claimed by mv9, and moves with None",
    ),
    (
        invariants.claims_are_held,
        lambda fleet: node(fleet, target=H3),
        "node2 has target h3 and claim ''",
    ),
    (
        invariants.one_operation_a_layer,
        lambda fleet: layer(fleet, operation=None),
        "operation op2 is waiting; holds: False, queued: False",
    ),
    (
        invariants.one_operation_a_layer,
        lambda fleet: layer(fleet, queue=(OperationId("op2"), OperationId("op3"))),
        "operation op2 is waiting; holds: True, queued: True",
    ),
    (
        invariants.moves_are_counted,
        lambda fleet: host(fleet, leaving=0),
        "host h1 counts 0 leaving and 0 arriving",
    ),
    (
        invariants.evacuating_hosts_are_closed,
        lambda fleet: evacuations(fleet, Evacuation(EV1, Kind.EVACUATE, H1, ())),
        "ev1 empties host h1, which is active",
    ),
    (
        invariants.evacuating_hosts_are_closed,
        lambda fleet: evacuations(
            fleet,
            Evacuation(EV1, Kind.RESTORE, H1, (), moves=(MOVED,)),
            Evacuation(EV2, Kind.RESTORE, H2, (), moves=(MOVED,)),
        ),
        "node2 is moved by 2 evacuations",
    ),
    (
        invariants.hosts_are_open,
        lambda fleet: host(fleet, state=HostState.REMOVED),
        "host h1 is removed and has promised 1 cloudlets",
    ),
    (
        invariants.the_halted_stand_still,
        lambda fleet: node(fleet, halted=True),
        "node2 is halted; running: True, healthy: True",
    ),
    (
        invariants.triggers_belong,
        trigger,
        "trigger tr1 is not in its layer shop/app",
    ),
    (
        invariants.triggers_belong,
        lambda fleet: trigger(fleet, triggers=(TR1,), operation=None),
        "trigger tr1 began op2, which does not work on its layer",
    ),
    (
        invariants.networks_are_apart,
        lambda fleet: fleet.networks.update({2: EnvironmentId("blog")}),
        "2 networks of 1 environments",
    ),
    (
        invariants.dead_letters_are_bounded,
        lambda fleet: fleet.deadlines.update(dead=Instant(5)),
        "dead letters end at None, not at 5",
    ),
    (
        invariants.claims_are_held,
        lambda fleet: node(fleet, claim="rc9"),
        "node2 is claimed by rc9, which is not restarting it",
    ),
    (
        invariants.lost_hosts_do_nothing,
        lambda fleet: lose(fleet, H2),
        "node2 runs on h2, which is lost",
    ),
    (
        invariants.lost_hosts_do_nothing,
        lambda fleet: order_to_the_lost(fleet, H3),
        "order or99 was given to h3, which is lost",
    ),
    (
        invariants.one_recovery_a_host,
        lambda fleet: fleet.recoveries.update(
            {RecoveryId(name): Recovery(RecoveryId(name), H1, ()) for name in ("rc1", "rc2")}
        ),
        "2 recoveries of host h1 go on at once",
    ),
    (
        invariants.rebalances_keep_to_their_plans,
        lambda fleet: rebalances(fleet, evened("rb1"), evened("rb2")),
        "rb1, rb2 go on at once",
    ),
    (
        invariants.rebalances_keep_to_their_plans,
        lambda fleet: rebalances(fleet, evened("rb1", todo=())),
        "rb1 plans ['node2'] and has []",
    ),
    (
        invariants.rebalances_keep_to_their_plans,
        lambda fleet: rebalances(fleet, evened("rb1", budget=0)),
        "rb1 has 1 moves of 0, 0 at once",
    ),
    (
        invariants.growths_come_to_an_end,
        lambda fleet: fleet.put(fleet.deadlines, "gr1", None),
        "growth gr1 is waiting and has no deadline",
    ),
    (
        invariants.growths_come_to_an_end,
        lambda fleet: fleet.growing.update({GrowthId("gr2"): NODE1}),
        "node1 has 2 growths",
    ),
]


NAMES = [f"{number}-{damaged[0].__name__}" for number, damaged in enumerate(DAMAGES)]


@pytest.mark.parametrize(("invariant", "damage", "sentence"), DAMAGES, ids=NAMES)
def test_damage_is_seen_and_said(invariant: Invariant, damage: Damage, sentence: str) -> None:
    fleet = at_work().fleet
    assert list(invariant(fleet, Whole(fleet))) == []

    damage(fleet)

    assert sentence in list(invariant(fleet, Whole(fleet)))
    assert sentence in broken(fleet)


def test_every_invariant_is_broken_by_some_damage() -> None:
    assert {invariant for invariant, _, _ in DAMAGES} == set(INVARIANTS)


class TestNeverZero:
    """`broken_by` looks at what is about to happen, not at what has."""

    def step(self, kind: StepKind = StepKind.RESTART) -> StepStarted:
        return StepStarted(OperationId("op2"), NODE1, kind)

    def alone(self, restart: RestartLayer | SetCloudletLimits | None = None) -> Scene:
        """Return a layer of two of which only node1 is operable, and an operation that waits."""
        scene = given(hosts(3), shop(2))
        scene.world.machines.crash(NODE2)
        scene.settle()
        scene.ask(restart or RestartLayer(environment="shop", layer="app"))
        return scene

    def test_to_begin_on_the_only_operable_one_breaks_it(self) -> None:
        (sentence,) = broken_by(self.alone().fleet, self.step())

        assert sentence.endswith("leaves layer shop/app without an operable container")

    def test_to_move_the_only_operable_one_breaks_it(self) -> None:
        granted = MigrationGranted(
            MigrationId("mv1"),
            NODE1,
            H1,
            H3,
            OrderId("or9"),
            Instant(0),
        )

        assert broken_by(self.alone().fleet, granted)

    def test_while_another_one_is_operable_it_holds(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(MigrateContainer(container="node1"))
        scene.ask(RestartLayer(environment="shop", layer="app"))
        assert broken_by(scene.fleet, StepStarted(OperationId("op2"), NODE2, StepKind.RESTART))

        scene.settle()

        assert not broken_by(scene.fleet, StepStarted(OperationId("op2"), NODE2, StepKind.RESTART))

    def test_one_that_is_not_operable_takes_nothing_away(self) -> None:
        step = StepStarted(OperationId("op2"), NODE2, StepKind.RESTART)

        assert not broken_by(self.alone().fleet, step)

    def test_accepted_downtime_excuses(self) -> None:
        scene = self.alone()
        operation = scene.operation(2)
        excused = replace(operation, settings=Settings(accept_downtime=True))
        scene.fleet.operations[operation.id] = excused

        assert not broken_by(scene.fleet, self.step())

    def test_a_resize_without_leaving_dns_takes_nothing_away(self) -> None:
        live = SetCloudletLimits(environment="shop", layer="app", reserved=2)
        leaving = SetCloudletLimits(
            environment="shop", layer="app", reserved=2, remove_from_dns=True
        )

        assert not broken_by(self.alone(live).fleet, self.step(StepKind.RESIZE))
        assert broken_by(self.alone(leaving).fleet, self.step(StepKind.RESIZE))

    def test_a_layer_that_is_leaving_or_has_one_container_has_nothing_to_keep(self) -> None:
        scene = self.alone()
        layer(scene.fleet, leaving=True)
        assert not broken_by(scene.fleet, self.step())

        layer(scene.fleet, leaving=False, containers=(NODE1,))
        assert not broken_by(scene.fleet, self.step())


class Spied(Fleet):
    """Remembers which of its tables are read."""

    read: set[str]

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if isinstance(value, dict) and name != "__dict__":
            super().__getattribute__("read").add(name)
        return value


@cache
def amid() -> list[Fleet]:
    """Return fleets of worlds in which much is under way."""
    worlds = [begin(Story(seed)) for seed in range(20)]
    for world, dice in worlds:
        for _ in range(6):
            wish(world, dice, (restart_layer, migrate, *EMPTYING))
    return [world.fleet for world, _ in worlds]


@pytest.mark.parametrize("invariant", READS, ids=lambda one: one.__name__)
def test_an_invariant_reads_no_tables_but_those_that_are_listed(invariant: Invariant) -> None:
    read: set[str] = set()
    for fleet in amid():
        spied = Spied()
        vars(spied).update(vars(fleet), read=read)
        list(invariant(spied, Whole(spied)))

    assert read <= READS[invariant]


def tables_of(fleet: Fleet) -> dict[str, dict[object, object]]:
    return {name: dict(one) for name, one in vars(fleet).items() if isinstance(one, dict)}


def tried(fleet: Fleet, damage: Damage) -> None:
    """Do damage to a fleet, and let it be what is tried out."""
    fleet.watcher = None
    before = tables_of(fleet)
    damage(fleet)
    after = tables_of(fleet)
    for name, entries in before.items():
        table = getattr(fleet, name)
        table.clear()
        table.update(entries)
    fleet.try_out()
    for name, entries in after.items():
        for key in {**before[name], **entries}:
            if before[name].get(key) != entries.get(key):
                fleet.put(getattr(fleet, name), key, entries.get(key))


@pytest.mark.parametrize(("_invariant", "damage", "sentence"), DAMAGES, ids=NAMES)
def test_damage_is_seen_in_what_was_touched(
    _invariant: Invariant, damage: Damage, sentence: str
) -> None:
    fleet = at_work().fleet
    tried(fleet, damage)

    assert sentence in broken(fleet, Touched(fleet))
    assert set(broken(fleet, Touched(fleet))) == set(broken(fleet))


WHERE = ("hosts", "containers", "layers", "environments", "operations", "migrations", "orders")


def at_random(fleet: Fleet, dice: Random) -> None:
    """Give one aggregate a field of another one, or forget it."""
    table = getattr(fleet, dice.choice([name for name in WHERE if getattr(fleet, name)]))
    one, other = dice.choice(list(table)), dice.choice(list(table))
    if dice.random() < 0.1:
        del table[one]
        return
    field = dice.choice([name for name in table[one].__struct_fields__ if name != "id"])
    table[one] = replace(table[one], **{field: getattr(table[other], field)})


@pytest.mark.parametrize("number", range(60))
def test_what_was_touched_is_as_broken_as_the_whole(number: int) -> None:
    dice = Random(number)
    for fleet in amid():
        before = tables_of(fleet)
        tried(fleet, lambda fleet: at_random(fleet, dice))
        assert said_of(fleet, Touched(fleet)) == said_of(fleet, Whole(fleet))
        fleet.undo()
        assert tables_of(fleet) == before


def said_of(fleet: Fleet, part: Part) -> set[str]:
    """Return what is broken, or what cannot even be looked at."""
    try:
        return set(broken(fleet, part))
    except KeyError as error:
        return {repr(error)}


def test_what_nothing_was_changed_of_is_not_looked_at_again() -> None:
    fleet = given(hosts(2), shop(2)).fleet
    one = fleet.containers[NODE1]
    fleet.put(fleet.containers, NODE1, replace(one, halted=True))
    whole = broken(fleet)

    fleet.try_out()
    fleet.put(fleet.dead, DeadId("dl1"), None)

    assert broken(fleet, Touched(fleet)) == ()
    fleet.put(fleet.containers, NODE1, fleet.containers[NODE1])
    assert broken(fleet, Touched(fleet)) == whole != ()
