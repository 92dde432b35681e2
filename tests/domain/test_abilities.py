"""What hosts proved of moving live: told once, and nothing is moved live from or to who cannot."""

import pytest

from domain.ability import HostProved, Live
from domain.environment import CreateEnvironment
from domain.evacuation import EvacuateHost
from domain.growth import GrowthPlanned
from domain.host import CordonHost, RemoveHost, UncordonHost
from domain.memory import Agent, ReportAcknowledged, ReportOwed, evolve
from domain.messages import (
    AskId,
    Code,
    ContainerId,
    EvacuationId,
    HostId,
    MigrationId,
    RebalanceId,
)
from domain.migration import MigrateContainer, MigrationAbandoned, MigrationGranted, MigrationState
from domain.operation import RestartLayer, ScaleNode
from domain.orders import DETAIL_MAX, ReportAbility
from domain.rebalance import RebalanceRegion
from tests.examples import facts, given, host, hosts, kinds, layer, one, refused, shop

H1, H2, H3 = HostId("h1"), HostId("h2"), HostId("h3")
WHY = "CRIU: cannot get 1:34 opt"


def told(where: HostId, live: Live = "none", why: str = WHY, ask: str = "") -> ReportAbility:
    return ReportAbility(ask=AskId(ask or f"{where}/1/able"), host=where, live=live, why=why)


class TestReportAbility:
    def test_noted(self) -> None:
        scene = given(host("h1"))

        commit = scene.ask(told(H1))

        assert facts(commit) == [HostProved(H1, "none", WHY)]
        assert (scene.fleet.hosts[H1].live, scene.fleet.hosts[H1].unable) == ("none", WHY)

    def test_noted_again_when_it_can(self) -> None:
        scene = given(host("h1"), told(H1))

        commit = scene.ask(told(H1, "stop_copy", "", "later"))

        assert facts(commit) == [HostProved(H1, "stop_copy")]
        assert (scene.fleet.hosts[H1].live, scene.fleet.hosts[H1].unable) == ("stop_copy", "")

    def test_nothing_new_when_it_is_so_already(self) -> None:
        scene = given(host("h1"), told(H1))

        assert facts(scene.ask(told(H1, ask="again"))) == []

    def test_nothing_of_a_host_that_is_not_there(self) -> None:
        assert facts(given().ask(told(H1))) == []

    def test_who_says_none_and_not_why_is_given_a_reason(self) -> None:
        assert one(given(host("h1")).ask(told(H1, why="")), HostProved).why

    def test_a_reason_is_kept_as_far_as_it_can_be(self) -> None:
        proved = one(given(host("h1")).ask(told(H1, why="x" * 5_000)), HostProved)

        assert len(proved.why) == DETAIL_MAX

    def test_it_outlives_a_cordon_and_not_a_removal(self) -> None:
        scene = given(host("h1"), told(H1), CordonHost(host="h1"), UncordonHost(host="h1"))
        assert scene.fleet.hosts[H1].unable == WHY

        scene = given(host("h1"), told(H1), RemoveHost(host="h1"), host("h1"))
        assert scene.fleet.hosts[H1].unable == ""


class TestAnAgentThatOwesIt:
    def test_owes_only_what_it_proved_last(self) -> None:
        first, last = told(H1), told(H1, "stop_copy", "", "last")

        agent = evolve(evolve(Agent(H1), ReportOwed(first)), ReportOwed(last))

        assert list(agent.owed.values()) == [last]
        assert evolve(agent, ReportAcknowledged(last.ask)).owed == {}


class TestMigrateContainer:
    def test_refused_from_who_cannot(self) -> None:
        refusal = refused(given(host("h1"), shop(1), host("h2"), told(H1)).when(move()))

        assert refusal.code is Code.MIGRATION_NOT_POSSIBLE
        assert f"host h1 moves nothing live: {WHY}" in refusal.detail

    @pytest.mark.parametrize("force", [False, True])
    def test_refused_to_who_cannot(self, *, force: bool) -> None:
        scene = given(host("h1"), shop(1), host("h2"), told(H2))

        refusal = refused(scene.when(move(target="h2", force=force, reason="so")))

        assert (refusal.code, refusal.path) == (Code.MIGRATION_NOT_POSSIBLE, "$.target")
        assert f"host h2 moves nothing live: {WHY}" in refusal.detail

    def test_another_target_is_chosen(self) -> None:
        scene = given(host("h1"), shop(1), hosts(3)[1:], told(H2))

        assert one(scene.when(move()), MigrationGranted).target == H3

    def test_where_there_is_none_it_is_said_of_how_many(self) -> None:
        scene = given(host("h1"), shop(1), hosts(3)[1:], told(H2), told(H3))

        assert "2 without live moves" in refused(scene.when(move())).detail

    def test_done_between_those_that_can(self) -> None:
        able = [told(where, "stop_copy", "") for where in (H1, H2)]

        scene = given(host("h1"), shop(1), host("h2"), able, move())

        assert scene.container("node1").host == H2

    def test_one_that_waits_is_given_up_when_its_time_has_come(self) -> None:
        scene = given(host("h1"), shop(2), host("h2"))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=300))
        scene.ask(move(queue=True))
        waits = scene.fleet.migrations[MigrationId("mv1")]
        assert waits.state is MigrationState.WAITING

        scene.ask(told(H1))
        scene.settle()

        (abandoned,) = scene.happened(MigrationAbandoned)
        assert WHY in abandoned.detail


class TestOthersThatMove:
    def test_placement_of_what_is_new_does_not_mind(self) -> None:
        scene = given(host("h1"), told(H1), shop(1))

        assert scene.container("node1").operable

    def test_an_evacuation_moves_nothing_live_and_everything_cold(self) -> None:
        def outcomes(*, live: bool) -> set[str]:
            scene = given(host("h1"), shop(2), host("h2"), told(H1))
            scene.ask(EvacuateHost(host="h1", live=live))
            scene.settle()
            over = scene.fleet.evacuations[EvacuationId("ev1")].over
            assert live is all(WHY in one.detail for one in over)
            return {one.outcome.value for one in over}

        assert outcomes(live=True) == {"failed"}
        assert outcomes(live=False) == {"moved"}

    def test_an_evacuation_goes_to_those_that_can(self) -> None:
        scene = given(host("h1"), shop(2), hosts(3)[1:], told(H2))

        scene.ask(EvacuateHost(host="h1"))
        scene.settle()

        assert {one.host for one in scene.fleet.containers.values()} == {H3}

    def test_a_rebalance_skips_what_cannot_go(self) -> None:
        scene = given(host("h1"), shop(3), hosts(3)[1:], told(H2), told(H3))

        scene.ask(RebalanceRegion())
        scene.settle()

        rebalance = scene.fleet.rebalances.get(RebalanceId("rb1"))
        assert {one.host for one in scene.fleet.containers.values()} == {H1}
        assert rebalance is None or {one.outcome.value for one in rebalance.over} == {"skipped"}

    @pytest.mark.parametrize(("unable", "way"), [(H3, "room"), (H1, "")])
    def test_a_growth_moves_away_only_who_can(self, unable: HostId, way: str) -> None:
        blog = CreateEnvironment(environment="blog", layers=(layer(reserved=3),))
        crowd = given(host("h1", cloudlets=8), shop(1, reserved=4), blog)
        crowd.ask(host("h2", cloudlets=8))
        crowd.ask(host("h3", cloudlets=9))
        crowd.ask(told(unable))

        commit = crowd.ask(ScaleNode(container="node1", reserved=6))

        if not way:
            assert "GrowthPlanned" not in kinds(commit)
            return
        planned = one(commit, GrowthPlanned)
        assert planned.way == way
        assert [step.target for step in planned.moves] == [H2]


def move(container: str = "node1", **how: object) -> MigrateContainer:
    return MigrateContainer(container=ContainerId(container), **how)  # type: ignore[arg-type]
