"""What a container holds follows what it uses: more at once, less after a calm, never lost."""

from typing import Any

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from domain.agent import Sample
from domain.container import USAGE, Container, ContainerScaled, GrowthDeferred
from domain.environment import CreateEnvironment, LayerSpec
from domain.growth import GrowthPlanned, GrowthRequested, GrowthSettled, GrowthState
from domain.messages import (
    CPU_OF_A_CLOUDLET_MHZ,
    MEMORY_OF_A_CLOUDLET_MIB,
    Code,
    ContainerId,
    HostId,
    Instant,
)
from domain.migration import MigrateContainer, MigrationReverted
from domain.operation import ScaleNode
from domain.orders import Start
from domain.vertical import CALM_MS, GROWING_MAX, USES_LESS, Calm, FollowUsage, look, need
from restow.simulation.world import START
from tests.examples import (
    Scene,
    facts,
    given,
    host,
    hosts,
    kinds,
    layer,
    one,
    refused,
    shop,
    unchanged,
)

ONE = ContainerId("node1")


FULL = CreateEnvironment(environment="full", layers=(LayerSpec(name="a", reserved=27),))


def uses(cloudlets: float, cpu: float = 0.0) -> Sample:
    return Sample(
        ONE, int(cpu * CPU_OF_A_CLOUDLET_MHZ), int(cloudlets * MEMORY_OF_A_CLOUDLET_MIB), 0, 0
    )


def app(cloudlets: int = 32) -> Scene:
    return given(hosts(3, cloudlets=cloudlets), shop(2, reserved=2, limit=8))


def holding(cloudlets: int) -> Container:
    scene = app()
    scene.ask(FollowUsage(container=ONE, cloudlets=cloudlets))
    return scene.container(ONE)


def later(ms: int) -> Instant:
    return Instant(START + ms)


class TestNeed:
    @pytest.mark.parametrize(
        ("used", "needed"), [(0, 1), (0.5, 1), (0.8, 1), (0.9, 2), (1, 2), (4, 5), (6.4, 8)]
    )
    def test_it_is_what_is_used_and_a_quarter(self, used: float, needed: int) -> None:
        assert need(uses(used)) == needed

    def test_it_is_the_larger_of_memory_and_processor(self) -> None:
        assert need(uses(1, cpu=4)) == need(uses(4, cpu=1)) == 5


class TestLook:
    def test_more_is_wanted_at_once_up_to_the_limit(self) -> None:
        assert look(holding(2), None, uses(4), START) == (5, None)
        assert look(holding(2), None, uses(40), START) == (8, None)

    def test_less_is_wanted_only_after_a_calm_and_then_what_was_the_peak(self) -> None:
        one, calm = holding(8), None
        for after, used in ((0, 2), (10_000, 4), (20_000, 2)):
            wanted, calm = look(one, calm, uses(used), later(after))
            assert wanted == 8

        assert look(one, calm, uses(2), later(CALM_MS)) == (5, None)

    def test_a_rise_ends_the_calm(self) -> None:
        one = holding(5)

        assert look(one, Calm(START, 3), uses(4), later(CALM_MS)) == (5, None)

    def test_never_less_than_reserved(self) -> None:
        assert look(holding(5), Calm(START, 2), uses(0), later(CALM_MS)) == (2, None)

    @any_of(st.lists(st.floats(0, 12), min_size=1, max_size=40), st.integers(2, 8))
    def test_what_it_holds_is_always_enough_and_within_its_limits(
        self, loads: list[float], start: int
    ) -> None:
        scene = app()
        calm = None
        scene.ask(FollowUsage(container=ONE, cloudlets=start))
        for step, used in enumerate(loads):
            wanted, calm = look(scene.container(ONE), calm, uses(used), later(step * 5_000))
            scene.ask(FollowUsage(container=ONE, cloudlets=wanted))
            holds = scene.container(ONE).allocated
            assert 2 <= holds <= 8
            assert holds >= min(need(uses(used)), 8)


class TestFollowUsage:
    def test_done(self) -> None:
        scene = app()

        commit = scene.ask(FollowUsage(container=ONE, cloudlets=6))

        assert facts(commit)[0] == ContainerScaled(ONE, 2, 8, 6, USAGE)
        scene.settle()
        scene.world.check_end()
        assert scene.world.machines.sizes[ONE] == (6, 8)
        assert scene.world.started[ONE] == 1

    def test_asked_twice(self) -> None:
        scene = app()
        scene.ask(FollowUsage(container=ONE, cloudlets=6))

        assert unchanged(scene.ask(FollowUsage(container=ONE, cloudlets=6)))

    def test_beyond_its_limit_it_holds_its_limit(self) -> None:
        assert holding(100).allocated == 8
        assert holding(0).allocated == 2

    def test_what_its_host_has_no_room_for_it_does_not_get(self) -> None:
        scene = given(hosts(1, cloudlets=5), shop(1, reserved=2, limit=8))

        scene.ask(FollowUsage(container=ONE, cloudlets=8))

        assert scene.container(ONE).allocated == 5
        assert unchanged(scene.ask(FollowUsage(container=ONE, cloudlets=8)))

    def test_of_one_that_is_gone_or_down_nothing_is_believed(self) -> None:
        scene = given(hosts(3)).fail("node1", Start)
        scene.ask(shop(2, reserved=2, limit=8))
        scene.settle()

        assert unchanged(scene.ask(FollowUsage(container=ONE, cloudlets=6)))
        assert unchanged(scene.ask(FollowUsage(container=ContainerId("node9"), cloudlets=6)))

    def test_while_it_moves_both_hosts_are_charged(self) -> None:
        scene = app()
        scene.ask(MigrateContainer(container=ONE, target="h3"))
        scene.ask(FollowUsage(container=ONE, cloudlets=6))

        assert [scene.fleet.hosts[HostId(name)].used for name in ("h1", "h3")] == [6, 6]
        scene.settle()
        assert (scene.container(ONE).host, scene.container(ONE).allocated) == ("h3", 6)
        scene.world.check_end()

    def test_where_the_target_has_no_room_it_stays_and_grows_with_the_next_sample(self) -> None:
        scene = app()
        scene.ask(FULL)  # fits nowhere else evenly: h3 carries nothing yet
        scene.settle()
        assert scene.fleet.hosts[HostId("h3")].free == 5
        scene.ask(MigrateContainer(container=ONE, target="h3"))

        commit = scene.ask(FollowUsage(container=ONE, cloudlets=8))
        assert kinds(commit)[0] == GrowthDeferred.__name__
        assert unchanged(scene.ask(FollowUsage(container=ONE, cloudlets=8)))
        scene.settle()
        scene.ask(FollowUsage(container=ONE, cloudlets=8))
        scene.settle()

        assert len(scene.happened(MigrationReverted)) == 1
        assert (scene.container(ONE).host, scene.container(ONE).allocated) == ("h1", 8)
        scene.world.check_end()


def crowded(*more: CreateEnvironment, other: int = 4, elsewhere: int = 8) -> Scene:
    """Return a full host with node1, that may hold up to 8, and node2; and another host."""
    scene = given(hosts(1, cloudlets=8), shop(1, reserved=4, limit=8), beside("blog", other), *more)
    scene.ask(host("h2", cloudlets=elsewhere))
    return scene.settle()


def beside(name: str, reserved: int) -> CreateEnvironment:
    return CreateEnvironment(environment=name, layers=(layer(reserved=reserved),))


def uses_so_much(cloudlets: int) -> FollowUsage:
    return FollowUsage(container=ONE, cloudlets=cloudlets, make_room=True)


class TestMakingRoomForWhatIsUsed:
    def test_others_move_away_and_then_it_holds_what_it_is_to(self) -> None:
        scene = crowded(other=3)

        commit = scene.ask(uses_so_much(7))

        first, requested = facts(commit)[0], one(commit, GrowthRequested)
        assert first == ContainerScaled(ONE, 4, 8, 5, USAGE)  # what fits, at once
        assert (requested.reserved, requested.limit, requested.held) == (4, 8, 7)
        scene.settle()
        assert [move.container for move in scene.happened(GrowthPlanned)[0].moves] == ["node2"]
        assert (scene.container(ONE).host, scene.container(ONE).allocated) == ("h1", 7)
        assert scene.happened(ContainerScaled)[-1].why == USAGE
        assert scene.world.started[ONE] == 1
        scene.world.check_end()

    def test_it_moves_itself_where_that_is_cheaper(self) -> None:
        scene = given(hosts(1, cloudlets=8), shop(1, reserved=1, limit=8), beside("blog", 7))
        scene.ask(host("h2", cloudlets=8))
        scene.settle()

        scene.ask(uses_so_much(5))
        scene.settle()

        assert scene.happened(GrowthPlanned)[0].way == "move"
        assert (scene.container(ONE).host, scene.container(ONE).allocated) == ("h2", 5)
        scene.world.check_end()

    def test_where_that_is_not_asked_for_nothing_moves(self) -> None:
        scene = crowded()

        assert unchanged(scene.ask(FollowUsage(container=ONE, cloudlets=8)))

    def test_where_nothing_helps_it_is_refused_with_what_is_missing(self) -> None:
        scene = crowded(elsewhere=3)

        refusal = refused(scene.ask(uses_so_much(8)))

        assert refusal.code is Code.CAPACITY_INSUFFICIENT
        assert (refusal.facts["missing"], refusal.facts["proven"]) == (1, True)

    def test_where_nothing_helps_it_has_what_fits(self) -> None:
        scene = crowded(other=3, elsewhere=2)

        scene.ask(uses_so_much(8))

        assert scene.container(ONE).allocated == 5
        assert not scene.fleet.growths

    def test_asked_twice_one_growth_is_under_way(self) -> None:
        scene = crowded()
        scene.ask(uses_so_much(8))

        assert unchanged(scene.ask(uses_so_much(8)))
        assert unchanged(scene.ask(uses_so_much(7)))

    def test_one_growth_a_host_is_begun(self) -> None:
        scene = given(
            hosts(1, cloudlets=8),
            shop(1, reserved=2, limit=8),
            beside("blog", 4),
            CreateEnvironment(environment="wiki", layers=(layer(reserved=2, limit=8),)),
        )
        scene.ask(host("h2", cloudlets=8))
        scene.settle()
        scene.ask(uses_so_much(4))

        third = FollowUsage(container=ContainerId("node3"), cloudlets=4, make_room=True)
        assert unchanged(scene.ask(third))
        scene.settle()
        scene.ask(third)
        scene.settle()

        assert [scene.container(name).allocated for name in ("node1", "node3")] == [4, 4]
        scene.world.check_end()

    def test_so_many_growths_in_a_region_are_enough(self) -> None:
        count = GROWING_MAX + 1
        full: dict[str, Any] = {"reserved": 4, "count": count}
        layers = (layer("a", limit=8, **full), layer("b", **full))
        spread = CreateEnvironment(environment="shop", layers=layers)
        scene = given(hosts(count, cloudlets=8), spread)
        scene.ask(host("h99", cloudlets=320))
        scene.settle()

        for number in range(1, count + 1):
            name = ContainerId(f"node{number}")
            scene.ask(FollowUsage(container=name, cloudlets=8, make_room=True))

        assert len(scene.fleet.growing) == GROWING_MAX

    def test_what_uses_less_again_gives_its_growth_up(self) -> None:
        scene = crowded()
        scene.ask(uses_so_much(8))

        commit = scene.ask(FollowUsage(container=ONE, cloudlets=4))

        settled = one(commit, GrowthSettled)
        assert (settled.outcome, settled.detail) == (GrowthState.ABANDONED, USES_LESS)
        scene.settle()
        assert scene.container(ONE).allocated == 4
        scene.world.check_end()

    def test_what_was_asked_for_by_name_is_not_given_up_because_of_its_use(self) -> None:
        scene = crowded()
        scene.ask(ScaleNode(container=ONE, reserved=8))

        assert unchanged(scene.ask(FollowUsage(container=ONE, cloudlets=4)))
        scene.settle()

        assert scene.container(ONE).reserved == 8

    def test_other_limits_take_the_place_of_what_its_use_had_begun(self) -> None:
        scene = crowded()
        scene.ask(uses_so_much(7))
        assert unchanged(scene.ask(ScaleNode(container=ONE, reserved=4)))

        scene.ask(ScaleNode(container=ONE, reserved=8))
        scene.settle()

        states = [growth.state for growth in scene.fleet.growths.values()]
        assert states == [GrowthState.ABANDONED, GrowthState.DONE]
        assert (scene.container(ONE).reserved, scene.container(ONE).allocated) == (8, 8)
        scene.world.check_end()

    def test_while_it_moves_nothing_is_begun(self) -> None:
        scene = crowded()
        scene.ask(MigrateContainer(container=ONE))

        assert unchanged(scene.ask(uses_so_much(8)))

    def test_one_that_went_down_meanwhile_is_given_nothing(self) -> None:
        scene = crowded()
        scene.ask(uses_so_much(8))
        scene.world.machines.crash(ONE)
        scene.settle()

        (growth,) = scene.fleet.growths.values()
        assert (growth.state, growth.detail) == (
            GrowthState.ABANDONED,
            "node1 does not run any more",
        )
        scene.world.check_end()

    def test_what_fits_meanwhile_ends_it(self) -> None:
        scene = crowded()
        scene.ask(uses_so_much(6))
        scene.ask(ScaleNode(container="node2", reserved=2, force=True, reason="less"))
        scene.ask(FollowUsage(container=ONE, cloudlets=6))
        scene.settle()

        (growth,) = scene.fleet.growths.values()
        assert growth.state is GrowthState.DONE
        assert scene.container(ONE).allocated == 6
        scene.world.check_end()
