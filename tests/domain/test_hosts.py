"""Hosts: each command done, refused, asked again."""

import pytest

from domain.container import ContainerPlaced
from domain.host import (
    CordonHost,
    HostCordoned,
    HostRated,
    HostRegistered,
    HostRelabelled,
    HostRemoved,
    HostState,
    HostUncordoned,
    RateHost,
    RegisterHost,
    RelabelHost,
    RemoveHost,
    UncordonHost,
)
from domain.messages import Code, HostId
from domain.migration import MigrateContainer
from domain.operation import ScaleLayer
from tests.examples import code, facts, given, host, hosts, one, refused, shop, unchanged

H1 = HostId("h1")


class TestRegisterHost:
    def test_done(self) -> None:
        commit = given().when(host("h1", zone="b", cloudlets=8, disk_gib=40))

        assert facts(commit) == [HostRegistered(H1, 8, 40, 1_024, 3_200, {"zone": "b"})]

    @pytest.mark.parametrize(
        ("memory_mib", "cpu_mhz", "overcommit", "cloudlets"),
        [
            (1_024, 400_000, 1, 8),
            (400_000, 1_600, 1, 4),
            (400_000, 1_600, 2.5, 10),
            (255, 799, 1, 1),
        ],
    )
    def test_capacity_is_the_smaller_of_memory_and_overcommitted_processor(
        self, memory_mib: int, cpu_mhz: int, overcommit: float, cloudlets: int
    ) -> None:
        ask = RegisterHost(
            host="h1", memory_mib=memory_mib, cpu_mhz=cpu_mhz, overcommit=overcommit, disk_gib=1
        )

        assert one(given().when(ask), HostRegistered).cloudlets == cloudlets

    def test_refused_with_other_hardware(self) -> None:
        refusal = refused(given(host("h1")).when(host("h1", cloudlets=64)))

        assert refusal.code is Code.HOST_EXISTS
        assert refusal.facts == {"cloudlets": 32, "disk_gib": 500}

    def test_unchanged_when_registered_so_already(self) -> None:
        assert unchanged(given(host("h1")).when(host("h1")))


class TestRelabelHost:
    def test_done(self) -> None:
        scene = given(host("h1"))

        commit = scene.when(RelabelHost(host="h1", labels={"zone": "b"}))

        assert facts(commit) == [HostRelabelled(H1, {"zone": "b"})]
        assert scene.fleet.hosts[H1].zone == "b"

    def test_refused_for_a_host_that_is_not_there(self) -> None:
        assert code(given().when(RelabelHost(host="h1", labels={}))) is Code.HOST_NOT_FOUND

    def test_unchanged_with_the_same_labels(self) -> None:
        again = RelabelHost(host="h1", labels={"zone": "a"})

        assert unchanged(given(host("h1")).when(again))


class TestRateHost:
    def test_done_and_looked_at_by_the_policy(self) -> None:
        scene = given(hosts(2), shop(1, policy="virtuozzo-loadmark"))
        (busy,) = [scene.container(name).host for name in scene.names()]
        idle = next(name for name in scene.fleet.hosts if name != busy)

        commit = scene.when(RateHost(host=idle, load_mark=900))

        assert facts(commit) == [HostRated(idle, 900)]
        grown = scene.when(ScaleLayer(environment="shop", layer="app", by=2))
        placed = [fact.host for fact in facts(grown) if isinstance(fact, ContainerPlaced)]
        assert placed == [idle, busy]

    def test_refused_for_a_host_that_is_not_there(self) -> None:
        assert code(given().when(RateHost(host="h1", load_mark=1))) is Code.HOST_NOT_FOUND

    def test_unchanged_with_the_same_mark(self) -> None:
        rate = RateHost(host="h1", load_mark=1)

        assert unchanged(given(host("h1"), rate).when(rate))


class TestCordonHost:
    def test_done(self) -> None:
        scene = given(host("h1"))

        commit = scene.when(CordonHost(host="h1", reason="new disk"))

        assert facts(commit) == [HostCordoned(H1, "new disk")]
        assert scene.fleet.hosts[H1].state is HostState.CORDONED

    def test_refused_for_a_host_that_is_not_there(self) -> None:
        assert code(given().when(CordonHost(host="h1"))) is Code.HOST_NOT_FOUND

    def test_unchanged_when_cordoned(self) -> None:
        cordon = CordonHost(host="h1")

        assert unchanged(given(host("h1"), cordon).when(cordon))

    def test_what_runs_there_stays(self) -> None:
        scene = given(host("h1"), shop(2), CordonHost(host="h1"))

        assert scene.fleet.hosts[H1].containers == 2


class TestUncordonHost:
    def test_done(self) -> None:
        scene = given(host("h1"), CordonHost(host="h1", reason="new disk"))

        commit = scene.when(UncordonHost(host="h1"))

        assert facts(commit) == [HostUncordoned(H1)]
        assert scene.fleet.hosts[H1].state is HostState.ACTIVE
        assert scene.fleet.hosts[H1].note == ""

    def test_refused_for_a_host_that_is_not_there(self) -> None:
        assert code(given().when(UncordonHost(host="h1"))) is Code.HOST_NOT_FOUND

    def test_unchanged_when_active(self) -> None:
        assert unchanged(given(host("h1")).when(UncordonHost(host="h1")))


class TestRemoveHost:
    def test_done(self) -> None:
        scene = given(host("h1"))

        commit = scene.when(RemoveHost(host="h1"))

        assert facts(commit) == [HostRemoved(H1)]
        assert not scene.fleet.hosts

    def test_refused_while_it_carries_something(self) -> None:
        refusal = refused(given(host("h1"), shop(2)).when(RemoveHost(host="h1")))

        assert refusal.code is Code.HOST_IN_USE
        assert refusal.facts == {"containers": 2, "arriving": 0}

    def test_refused_while_something_is_on_its_way(self) -> None:
        scene = given(hosts(2), shop(1))
        scene.ask(MigrateContainer(container="node1", target="h2"))

        refusal = refused(scene.when(RemoveHost(host="h2")))

        assert refusal.facts == {"containers": 0, "arriving": 1}

    def test_asked_again_it_is_not_there(self) -> None:
        remove = RemoveHost(host="h1")

        assert code(given(host("h1"), remove).when(remove)) is Code.HOST_NOT_FOUND

    def test_it_may_come_back_as_another_one(self) -> None:
        scene = given(host("h1"), shop(0 + 1), host("h2"), RemoveHost(host="h2"))

        scene.when(host("h2", cloudlets=4))

        assert scene.fleet.hosts[HostId("h2")].free == 4
