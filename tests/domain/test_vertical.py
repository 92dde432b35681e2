"""What a container holds follows what it uses: more at once, less after a calm, never lost."""

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from domain.agent import Sample
from domain.container import Container, ContainerScaled, GrowthDeferred
from domain.environment import CreateEnvironment, LayerSpec
from domain.messages import (
    CPU_OF_A_CLOUDLET_MHZ,
    MEMORY_OF_A_CLOUDLET_MIB,
    ContainerId,
    HostId,
    Instant,
)
from domain.migration import MigrateContainer, MigrationReverted
from domain.orders import Start
from domain.vertical import CALM_MS, USAGE, Calm, FollowUsage, look, need
from restow.simulation.world import START
from tests.examples import Scene, facts, given, hosts, kinds, shop, unchanged

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
