"""Each environment has a network of its own; who is where in it is as the journal has it."""

import pytest
from msgspec.structs import replace

from domain.chronicle import evolve
from domain.environment import CreateEnvironment, EnvironmentCreated, RemoveEnvironment
from domain.facts import Fact
from domain.fleet import Fleet
from domain.image import from_image, to_image
from domain.invariants import broken
from domain.messages import (
    AskId,
    ContainerId,
    EnvironmentId,
    HostId,
    Instant,
    MigrationId,
    OrderId,
)
from domain.migration import MigrateContainer, MigrationGranted
from domain.networks import (
    NETWORK,
    NETWORK_MAX,
    homes,
    members,
    moved,
    next_network,
    place,
)
from domain.orders import OrderIssued, ReportOrder, ReportPhase, RouteIn, Start
from domain.wire import decode_fact
from tests.examples import Scene, facts, given, hosts, layer, one, shop
from tests.wire.samples import kept

SHOP, NODE1 = EnvironmentId("shop"), ContainerId("node1")
BLOG = CreateEnvironment(environment="blog", layers=(layer("app"),))


def network(scene: Scene, name: str = "shop") -> int:
    return scene.fleet.environments[EnvironmentId(name)].network


class TestNumbers:
    def test_each_environment_has_its_own(self) -> None:
        scene = given(hosts(3), shop(1))

        commit = scene.when(BLOG)

        assert one(commit, EnvironmentCreated).network == 2
        assert (network(scene), network(scene, "blog")) == (1, 2)

    def test_one_that_was_given_is_not_given_again(self) -> None:
        scene = given(hosts(3), shop(1), RemoveEnvironment(environment="shop"), BLOG)

        assert network(scene, "blog") == 2
        assert scene.fleet.networks == {2: "blog"}

    def test_an_environment_of_an_old_journal_has_the_next_one(self) -> None:
        old = decode_fact(kept("environment.created").data)
        assert isinstance(old, EnvironmentCreated)
        fleet = Fleet()
        for name in ("shop", "blog"):
            evolve(fleet, replace(old, environment=EnvironmentId(name)), Instant(0))
        evolve(fleet, EnvironmentCreated(EnvironmentId("wiki"), "a.b", network=3), Instant(0))

        assert [one.network for one in fleet.environments.values()] == [1, 2, 3]
        assert next_network(fleet) == 4
        assert broken(fleet) == ()

    def test_after_the_last_number_the_first_that_is_free_follows(self) -> None:
        scene = given(hosts(3), shop(1))
        scene.fleet.put(scene.fleet.counters, NETWORK, NETWORK_MAX)

        commit = scene.when(BLOG)

        assert one(commit, EnvironmentCreated).network == 2

    def test_a_checkpoint_knows_whose_each_is(self) -> None:
        region = given(hosts(3), shop(1), BLOG).world.region

        assert from_image(to_image(region)).fleet.networks == {1: "shop", 2: "blog"}

    def test_two_with_the_same_number_are_found(self) -> None:
        fleet = given(hosts(3), shop(1), BLOG).fleet
        fleet.put(fleet.environments, SHOP, replace(fleet.environments[SHOP], network=2))

        assert broken(fleet) == ("environment shop has network 2, which is not its own",)

    def test_a_number_without_an_environment_is_found(self) -> None:
        fleet = given(hosts(3), shop(1)).fleet
        fleet.put(fleet.networks, 7, EnvironmentId("gone"))

        assert broken(fleet) == ("2 networks of 1 environments",)

    def test_orders_carry_it(self) -> None:
        scene = given(hosts(3), BLOG, shop(1))
        works = [order.work for order in scene.happened(OrderIssued)]

        for kind in (Start, RouteIn):
            assert [work.network for work in works if isinstance(work, kind)] == [1, 2]


def on_its_way() -> Scene:
    """Return a shop whose first container has begun to move from h1 to h3."""
    scene = given(hosts(3), shop(2))
    scene.ask(MigrateContainer(container="node1", target="h3"))
    return scene


def frozen(scene: Scene) -> list[Fact]:
    report = ReportPhase(
        ask=AskId("r1"),
        host=HostId("h1"),
        migration=MigrationId("mv1"),
        phase="frozen",
        after_ms=80,
    )
    return facts(scene.ask(report))  # type: ignore[return-value]


def where(scene: Scene) -> dict[str, str]:
    fleet = scene.fleet
    return {one.address: place(fleet, one) for one in members(fleet, network(scene))}


class TestWhere:
    def test_containers_are_where_their_hosts_are(self) -> None:
        scene = given(hosts(3), shop(2), BLOG)

        assert where(scene) == {"10.0.0.1": "h1", "10.0.0.2": "h2"}
        assert homes(members(scene.fleet, 1)) == {"h1", "h2"}

    def test_of_a_number_that_nobody_has_there_is_nobody(self) -> None:
        assert members(given(hosts(3), shop(2)).fleet, 9) == ()

    def test_the_target_of_a_move_hears_of_it_from_the_beginning(self) -> None:
        scene = on_its_way()

        assert where(scene)["10.0.0.1"] == "h1"
        assert homes(members(scene.fleet, 1)) == {"h1", "h2", "h3"}

    def test_frozen_it_is_found_on_its_target_and_stays_there(self) -> None:
        scene = on_its_way()
        frozen(scene)

        assert where(scene)["10.0.0.1"] == "h3"
        assert scene.container("node1").host == "h1"
        scene.settle()
        assert where(scene)["10.0.0.1"] == "h3"
        assert scene.container("node1").host == "h3"

    def test_given_up_it_is_found_on_its_host_again(self) -> None:
        scene = on_its_way()
        frozen(scene)
        order = next(name for name, one in scene.fleet.orders.items() if one.container == NODE1)
        answer = ReportOrder(
            ask=AskId("r2"),
            host=HostId("h1"),
            order=OrderId(order),
            done=False,
            detail="no",
            running=True,
            located=HostId("h1"),
        )

        commit = scene.ask(answer)

        assert where(scene)["10.0.0.1"] == "h1"
        assert NODE1 in [moved(scene.fleet, fact) for fact in facts(commit)]

    def test_cold_it_is_on_its_host_until_it_was_moved(self) -> None:
        scene = on_its_way()
        frozen(scene)
        migration = scene.fleet.migrations[MigrationId("mv1")]
        scene.fleet.put_migration(replace(migration, cold=True))

        assert where(scene)["10.0.0.1"] == "h1"


class TestMoved:
    @pytest.mark.parametrize("phase", ["checked", "copying", "resumed", "reachable"])
    def test_other_phases_change_nothing(self, phase: str) -> None:
        scene = on_its_way()
        report = ReportPhase(
            ask=AskId("r1"),
            host=HostId("h1"),
            migration=MigrationId("mv1"),
            phase=phase,
            after_ms=80,
        )

        (fact,) = facts(scene.ask(report))

        assert moved(scene.fleet, fact) is None
        assert where(scene)["10.0.0.1"] == "h1"

    def test_to_be_placed_granted_and_frozen_does(self) -> None:
        scene = given(hosts(3))
        placed = facts(scene.ask(shop(1)))
        scene.settle()
        granted = facts(scene.ask(MigrateContainer(container="node1", target="h3")))

        told = [[moved(scene.fleet, fact) for fact in some] for some in (placed, granted)]
        assert [NODE1 in some for some in told] == [True, True]
        assert [moved(scene.fleet, fact) for fact in frozen(scene)] == [NODE1]
        assert any(isinstance(fact, MigrationGranted) for fact in granted)
