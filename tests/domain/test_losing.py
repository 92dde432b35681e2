"""Losing hosts: what is declared, what a human may say, what follows, and what waits."""

from domain.container import ContainerStarted, ContainerStopped
from domain.decider import Ask
from domain.environment import (
    ChangeLayer,
    CreateEnvironment,
    LayerSpec,
    StartEnvironment,
    StopEnvironment,
)
from domain.evacuation import EvacuateHost
from domain.host import (
    CordonHost,
    HostLost,
    HostRegistered,
    HostReturned,
    HostState,
    RemoveHost,
    UncordonHost,
)
from domain.lease import Seats
from domain.losing import wanted_seats
from domain.loss import (
    JurorsAgreed,
    JurorsNamed,
    LoseHost,
    RecoverHost,
    ReturnHost,
    Silent,
    StormPassed,
    StormRaised,
    WatchHosts,
)
from domain.messages import AskId, Code, EvacuationId, HostId, Refusal, Tenant
from domain.migration import MigrateContainer
from domain.operation import RestartLayer
from domain.orders import OrderAnswered, RouteIn, Start
from domain.recovery import (
    MEMORY_MAX,
    TRIES_MAX,
    WAIT_MAX_MS,
    ContainerReplaced,
    Fate,
    RecoveryBegun,
    RecoveryEnded,
    RecoveryFinished,
)
from tests.examples import Scene, accepted, code, facts, given, host, hosts, one, shop, unchanged

H1, H2, H3 = HostId("h1"), HostId("h2"), HostId("h3")
FENCE = ChangeLayer(environment="shop", layer="app", on_lost="fence")
GONE = LoseHost(host="h1", reason="it burnt down")


def silent(*names: str, steady: bool = True) -> WatchHosts:
    return WatchHosts(silent=tuple(Silent(HostId(name), 25_000) for name in names), steady=steady)


def fates(scene: Scene) -> dict[str, Fate]:
    return {str(ended.container): ended.fate for ended in scene.happened(RecoveryEnded)}


def lost(scene: Scene, name: str = "h1", lasts_ms: int | None = None) -> Scene:
    """Let a host die, and everything settle."""
    scene.world.outages.strike(name, lasts_ms, dead=True)
    return scene.settle()


class TestWatchHosts:
    def test_one_silent_host_is_lost(self) -> None:
        scene = given(hosts(4), shop(4))

        commit = scene.ask(silent("h1"))

        assert one(commit, HostLost) == HostLost(H1, 25_000)
        assert one(commit, ContainerStopped).container == "node1"
        assert one(commit, RecoveryBegun).plan == ("node1",)
        assert one(commit, ContainerReplaced).source == "h1"
        assert scene.fleet.hosts[H1].state is HostState.LOST

    def test_many_are_a_storm_and_none_is_lost(self) -> None:
        scene = given(hosts(5), shop(4))

        commit = scene.ask(silent("h1", "h2"))

        raised = one(commit, StormRaised)
        assert raised.silent == ("h1", "h2")
        assert raised.why == "2 of 5 hosts are silent or lost at once; up to 1 are believed"
        assert scene.fleet.storm is not None
        assert not scene.happened(HostLost)

    def test_without_a_majority_none_is_lost(self) -> None:
        scene = given(hosts(5))

        assert "no majority" in one(scene.ask(silent("h1", steady=False)), StormRaised).why

    def test_a_storm_is_said_once_and_passes(self) -> None:
        scene = given(hosts(5))
        scene.ask(silent("h1", "h2"))

        assert unchanged(scene.ask(silent("h2", "h1")))
        assert isinstance(facts(scene.ask(WatchHosts(steady=True)))[0], StormPassed)
        assert scene.fleet.storm is None

    def test_of_a_storm_that_shrinks_the_last_one_is_lost(self) -> None:
        scene = given(hosts(5))
        scene.ask(WatchHosts(steady=True))
        scene.ask(silent("h1", "h2"))

        commit = scene.ask(silent("h2"))

        assert [type(fact) for fact in facts(commit)] == [StormPassed, HostLost]

    def test_those_lost_before_count_towards_a_storm(self) -> None:
        scene = given(hosts(5))
        scene.ask(silent("h1"))

        assert one(scene.ask(silent("h2")), StormRaised).silent == ("h2",)

    def test_one_that_is_lost_or_unknown_is_not_lost_again(self) -> None:
        scene = given(hosts(5))
        scene.ask(silent("h1"))
        scene.ask(WatchHosts(steady=True))

        assert unchanged(scene.ask(silent("h1", "h9")))


class TestJurors:
    def test_the_first_ones_are_agreed_at_once(self) -> None:
        scene = given(hosts(3))

        commit = scene.ask(WatchHosts(steady=True))

        assert one(commit, JurorsAgreed) == JurorsAgreed(1, (H1, H2, H3))
        assert scene.fleet.seats == Seats(1, (H1, H2, H3))

    def test_others_are_named_and_count_with_those_before_until_agreed(self) -> None:
        scene = given(hosts(3))
        scene.ask(WatchHosts(steady=True))
        scene.ask(host("h4"))

        named = one(scene.ask(WatchHosts(steady=True)), JurorsNamed)
        assert named == JurorsNamed(2, (H1, H2, H3, HostId("h4")))
        assert scene.fleet.seats.next == named.hosts
        assert unchanged(scene.ask(WatchHosts(steady=True)))
        assert unchanged(scene.ask(WatchHosts(steady=True, agreed=1)))

        scene.ask(WatchHosts(steady=True, agreed=2))
        assert scene.fleet.seats == Seats(3, named.hosts)

    def test_one_that_is_lost_is_replaced_and_zones_take_turns(self) -> None:
        scene = given(hosts(20))
        assert len(wanted_seats(scene.fleet)) == 15
        scene.ask(WatchHosts(steady=True))
        seats = scene.fleet.seats.hosts
        assert {scene.fleet.hosts[name].zone for name in seats[:3]} == {"a", "b", "c"}

        scene.ask(silent(seats[0]))
        wanted = wanted_seats(scene.fleet)
        assert seats[0] not in wanted
        assert wanted[:14] == seats[1:]
        assert len(wanted) == 15


class TestLoseHost:
    def test_lost_on_a_humans_word(self) -> None:
        scene = given(hosts(3), shop(3))

        commit = scene.when(GONE)

        assert one(commit, HostLost) == HostLost(H1, 0, True, "it burnt down")  # noqa: FBT003
        accepted(commit)

    def test_lost_in_spite_of_a_storm(self) -> None:
        scene = given(hosts(3), shop(3))
        scene.ask(silent("h1", "h2"))

        assert one(scene.when(GONE), HostLost).vouched

    def test_refused_without_a_reason_and_where_there_is_none(self) -> None:
        scene = given(hosts(3))

        assert code(scene.when(LoseHost(host="h1"))) is Code.REQUEST_INVALID
        assert code(scene.when(LoseHost(host="h9", reason="gone"))) is Code.HOST_NOT_FOUND

    def test_refused_to_a_tenant(self) -> None:
        scene = given(hosts(3))

        assert code(scene.ask(GONE, tenant=Tenant("ada"))) is Code.AUTH_DENIED

    def test_asked_twice_nothing_changes(self) -> None:
        scene = lost(given(hosts(3), shop(3)))
        scene.ask(GONE)

        assert unchanged(scene.when(GONE))

    def test_a_lost_host_is_vouched_for_later(self) -> None:
        scene = given(hosts(4), shop(4, on_lost="keep"))
        lost(scene)
        assert fates(scene)["node1"] is Fate.KEPT

        scene.ask(GONE)
        scene.settle()

        assert fates(scene)["node1"] is Fate.RESTARTED


class TestTheLost:
    def test_is_neither_cordoned_nor_uncordoned(self) -> None:
        scene = given(hosts(3), GONE)

        assert code(scene.when(CordonHost(host="h1"))) is Code.HOST_LOST
        assert code(scene.when(UncordonHost(host="h1"))) is Code.HOST_LOST

    def test_receives_nothing_not_even_by_force(self) -> None:
        scene = lost(given(hosts(4), shop(4)))
        move = MigrateContainer(container="node2", target="h1", force=True, reason="because")

        assert code(scene.ask(move)) is Code.HOST_LOST

    def test_is_removed_when_nothing_is_left_on_it(self) -> None:
        scene = lost(given(hosts(3), shop(3)))

        accepted(scene.when(RemoveHost(host="h1")))
        assert not scene.fleet.recoveries

    def test_registered_again_it_has_a_term_that_it_never_had(self) -> None:
        scene = given(hosts(3), GONE, ReturnHost(host="h1"))
        for term in (2, 3):  # it returned under 1
            scene.ask(RemoveHost(host="h1"))
            assert one(scene.ask(host("h1")), HostRegistered).term == term
            assert scene.fleet.hosts[H1].term == term

    def test_returns_under_a_new_term_and_as_cordoned_as_it_was(self) -> None:
        scene = given(hosts(3), CordonHost(host="h1"), GONE)

        commit = scene.ask(ReturnHost(host="h1"))

        assert one(commit, HostReturned) == HostReturned(H1, 1, True)  # noqa: FBT003
        assert scene.fleet.hosts[H1].state is HostState.CORDONED
        assert unchanged(scene.ask(ReturnHost(host="h1")))

    def test_a_late_copy_of_an_earlier_return_counts_for_nothing(self) -> None:
        scene = given(hosts(3), GONE, ReturnHost(host="h1", term=0), GONE)

        assert unchanged(scene.ask(ReturnHost(host="h1", term=0)))
        assert one(scene.ask(ReturnHost(host="h1", term=1)), HostReturned).term == 2

    def test_lost_while_it_is_emptied_it_stays_lost_and_returns_cordoned(self) -> None:
        scene = given(hosts(4), shop(4))
        scene.ask(EvacuateHost(host="h1"))

        lost(scene)

        assert scene.fleet.evacuations[EvacuationId("ev1")].outcome == "stopped"
        assert scene.fleet.hosts[H1].state is HostState.LOST
        scene.ask(ReturnHost(host="h1"))
        assert scene.fleet.hosts[H1].state is HostState.CORDONED

    def test_returns_with_what_its_layers_keep(self) -> None:
        scene = given(hosts(4), shop(4, on_lost="keep"))
        scene.ask(silent("h1"))

        runs = (scene.container("node1").id, scene.container("node2").id)
        commit = scene.ask(ReturnHost(host="h1", runs=runs))

        assert one(commit, ContainerStarted).container == "node1"

    def test_what_runs_on_is_not_restarted_though_its_layer_fences_by_now(self) -> None:
        scene = given(hosts(4), shop(4, on_lost="keep"))
        accepted(scene.when(FENCE))
        assert unchanged(scene.when(FENCE))

        lost(scene)

        assert fates(scene)["node1"] is Fate.KEPT

    def test_who_was_started_anew_is_fenced_as_its_layer_says(self) -> None:
        scene = given(hosts(4), shop(4, on_lost="keep"), FENCE)
        for command in (StopEnvironment(environment="shop"), StartEnvironment(environment="shop")):
            scene.ask(command)
            scene.settle()

        lost(scene)

        assert fates(scene)["node1"] is Fate.RESTARTED

    def test_what_stands_still_is_placed_elsewhere_and_not_started(self) -> None:
        scene = given(hosts(4), shop(4), StopEnvironment(environment="shop"))
        lost(scene)

        assert fates(scene) == {"node1": Fate.PLACED}
        assert scene.container("node1").host != "h1"
        assert not scene.container("node1").running

    def test_an_operation_waits_for_the_recovery_of_its_container(self) -> None:
        scene = given(hosts(2, cloudlets=2), shop(2, reserved=2))
        scene.world.outages.strike("h1", 120_000, dead=True)
        scene.ask(GONE)
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))
        scene.settle()

        assert scene.operation(2).outcome == "done"


class TestRecovery:
    def test_what_has_no_room_waits_and_is_on_the_list(self) -> None:
        scene = given(hosts(4, cloudlets=8), shop(4, reserved=6))
        lost(scene)

        (finished,) = scene.happened(RecoveryFinished)
        assert (finished.outcome, finished.left) == ("failed", ("node1",))
        (ended,) = scene.happened(RecoveryEnded)
        assert ended.fate is Fate.UNPLACED
        assert "0 of 4 hosts fit" in ended.detail

    def test_it_goes_on_when_there_is_room(self) -> None:
        scene = given(hosts(4, cloudlets=8), shop(4, reserved=6))
        scene.world.outages.strike("h1", None, dead=True)
        scene.pass_(60_000)
        scene.ask(host("h9", cloudlets=8))
        scene.settle()

        assert fates(scene) == {"node1": Fate.RESTARTED}
        assert scene.container("node1").host == "h9"
        assert scene.world.now < WAIT_MAX_MS + 1_700_000_000_000

    def test_those_whose_layer_has_nothing_left_come_first(self) -> None:
        scene = given(hosts(3), shop(3))
        alone = LayerSpec(name="sql")
        scene.ask(CreateEnvironment(environment="files", layers=(alone,)))
        scene.settle()

        assert one(scene.ask(GONE), RecoveryBegun).plan == ("node4", "node1")

    def test_one_that_cannot_be_started_is_tried_elsewhere_and_not_for_ever(self) -> None:
        scene = given(hosts(6), shop(6)).fail("node1", Start, times=9)
        lost(scene)

        assert fates(scene) == {"node1": Fate.FAILED}
        homes = [replaced.target for replaced in scene.happened(ContainerReplaced)]
        assert len(set(homes)) == len(homes) == TRIES_MAX

    def test_one_that_dies_while_it_is_checked_is_tried_again(self) -> None:
        scene = given(hosts(6), shop(6))
        scene.world.outages.strike("h1", None, dead=True)
        scene.pass_(26_500)
        assert scene.container("node1").running
        scene.world.machines.crash(scene.container("node1").id)
        scene.settle()

        assert fates(scene) == {"node1": Fate.RESTARTED}

    def test_one_that_stays_sick_is_on_the_list(self) -> None:
        scene = given(hosts(6), shop(6))
        scene.world.machines.sick.add("node1")
        lost(scene)

        (ended,) = scene.happened(RecoveryEnded)
        assert (ended.fate, ended.detail) == (Fate.FAILED, "not healthy within 120 s")

    def test_one_that_cannot_be_put_back_into_dns_is_on_the_list(self) -> None:
        scene = given(hosts(6))
        scene.fail("node1", RouteIn, times=9)
        scene.ask(shop(2))
        scene.settle()
        lost(scene)

        (ended,) = scene.happened(RecoveryEnded)
        assert ended.fate is Fate.FAILED

    def test_one_that_was_recovered_often_may_kill_its_hosts_and_is_spared(self) -> None:
        scene = given(hosts(12), shop(1))
        for _ in range(MEMORY_MAX + 1):
            lost(scene, scene.container("node1").host)
        home = scene.container("node1").host

        assert fates(scene)["node1"] is Fate.SPARED
        assert scene.happened(RecoveryEnded)[-1].fate is Fate.SPARED

        accepted(scene.when(RecoverHost(host=home)))
        scene.settle()
        assert scene.happened(RecoveryEnded)[-1].fate is Fate.RESTARTED

    def test_orders_to_a_lost_host_are_answered_in_its_place(self) -> None:
        scene = given(hosts(3))
        scene.world.outages.strike("h1", None, dead=True)
        scene.ask(shop(3))
        commit = scene.ask(GONE)

        answered = [fact for fact in facts(commit) if isinstance(fact, OrderAnswered)]
        assert [(fact.done, fact.detail) for fact in answered] == [(False, "host h1 is lost")]


class TestRecoverHost:
    def test_tried_again(self) -> None:
        scene = lost(given(hosts(4, cloudlets=8), shop(4, reserved=6)))
        scene.ask(host("h9", cloudlets=8))

        commit = scene.when(RecoverHost(host="h1"))

        assert accepted(commit).operation == "rc2"
        scene.settle()
        assert scene.container("node1").host == "h9"

    def test_refused_where_there_is_no_such_host(self) -> None:
        assert code(given(hosts(1)).when(RecoverHost(host="h9"))) is Code.HOST_NOT_FOUND

    def test_nothing_where_nothing_fell_or_it_is_under_way(self) -> None:
        scene = given(hosts(4, cloudlets=8), shop(4, reserved=6))
        assert unchanged(scene.when(RecoverHost(host="h1")))

        scene.ask(GONE)
        assert unchanged(scene.when(RecoverHost(host="h1")))

    def test_what_only_died_is_restarted_where_it_is(self) -> None:
        scene = given(hosts(4), shop(4))
        scene.world.machines.crash(scene.container("node1").id)
        scene.settle()

        scene.ask(RecoverHost(host="h1"))
        scene.settle()

        assert scene.container("node1").operable
        assert scene.container("node1").host == "h1"


def test_a_late_word_of_a_lost_host_counts_for_nothing() -> None:
    scene = given(hosts(3), shop(3))
    scene.ask(silent("h1"))
    name = AskId("late")
    report = next(iter(scene.world.machines.answered.values()))

    commit = scene.world.put(Ask(name, report))

    assert not commit.events
    assert not isinstance(commit.answer, Refusal)
