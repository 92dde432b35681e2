"""The region as one machine: one ask, one answer, one commit, and no trace of what was refused."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.answers import REMEMBER_OWN_MS
from domain.chronicle import missing
from domain.container import ContainerStarted, PlaceContainer, ReconcileSize
from domain.deadlines import DeadlinePassed
from domain.decider import Ask, Decision
from domain.decisions import DECIDE
from domain.environment import AddLayer, CreateEnvironment, RemoveEnvironment
from domain.facts import FACTS, tag
from domain.host import CordonHost, UncordonHost
from domain.messages import (
    REMEMBER_MS,
    Accepted,
    AskId,
    Code,
    Command,
    EnvironmentId,
    HostId,
    Instant,
    PublicCommand,
    Refusal,
    Tenant,
    Unchanged,
)
from domain.migration import MigrateContainer
from domain.operation import (
    AdvanceOperation,
    AdvanceStep,
    PauseOperation,
    RestartLayer,
    ScaleLayer,
    ScaleNode,
)
from domain.orders import (
    DETAIL_MAX,
    OrderAnswered,
    ReportHealth,
    ReportOrder,
)
from domain.reactions import react
from domain.region import TOO_LARGE, Region
from domain.software import Software
from domain.streams import NOUNS, noun_of, stream_named, stream_of
from domain.wire import COMMIT_BYTES_MAX, decode_frame, size_of
from restow.simulation.world import START, state_of
from tests.examples import (
    accepted,
    code,
    done,
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

decide: dict[Any, Any] = DECIDE
"""The table of decisions, in which some tests plant a mistake."""
ACME = Tenant("acme")
OTHER = Tenant("other")


def asked(command: Command, name: str = "a", **more: object) -> Ask:
    return replace(Ask(AskId(name), command), **more)


class TestAnswers:
    def test_an_answer_is_remembered_with_the_position_it_led_to(self) -> None:
        region = Region()
        region.decide(asked(host("h1"), fingerprint=b"f"), START)

        remembered = region.answers.get(AskId("a"))

        assert remembered is not None
        assert remembered.answer == Accepted(version=1)
        assert (remembered.position, remembered.fingerprint) == (1, b"f")

    def test_a_refusal_is_remembered_too(self) -> None:
        region = Region()
        region.decide(asked(CordonHost(host="h1")), START)

        remembered = region.answers.get(AskId("a"))

        assert remembered is not None
        assert isinstance(remembered.answer, Refusal)

    def test_what_was_never_asked_has_no_answer(self) -> None:
        assert Region().answers.get(AskId("a")) is None

    def test_answers_to_commands_are_forgotten_after_a_day(self) -> None:
        region = Region()
        region.decide(asked(host("h1"), "a"), START)
        region.decide(asked(host("h2"), "b"), Instant(START + REMEMBER_MS))
        assert region.answers.get(AskId("a"))

        region.decide(asked(host("h3"), "c"), Instant(START + REMEMBER_MS + 1))

        assert region.answers.get(AskId("a")) is None
        assert region.answers.get(AskId("b"))
        assert len(region.answers) == 2

    def test_answers_to_our_own_processes_are_forgotten_after_ten_minutes(self) -> None:
        region = Region()
        region.decide(asked(host("h1"), "command"), START)
        region.decide(asked(DeadlinePassed(saga="op1", due=START), "due"), START)

        region.decide(asked(host("h2"), "later"), Instant(START + REMEMBER_OWN_MS + 1))

        assert region.answers.get(AskId("due")) is None
        assert region.answers.get(AskId("command"))

    def test_a_refusal_from_outside_is_remembered_as_an_answer(self) -> None:
        region = Region()
        refusal = Refusal(Code.INTERNAL, "sorry")

        commit = region.refuse(asked(host("h1")), refusal, START)

        assert (commit.answer, commit.events) == (refusal, ())
        remembered = region.answers.get(AskId("a"))
        assert remembered is not None
        assert remembered.answer == refusal

    def test_an_accepted_command_knows_the_version_it_led_to(self) -> None:
        scene = given(host("h1"))

        assert accepted(scene.when(CordonHost(host="h1"))).version == 2
        again = scene.when(CordonHost(host="h1"))
        assert again.answer == Unchanged(2)


class TestTheAskItself:
    def test_an_expired_one_is_refused(self) -> None:
        scene = given(host("h1"))
        late = Instant(scene.world.now - 5)

        refusal = refused(scene.when(CordonHost(host="h1"), expires=late))

        assert refusal.code is Code.COMMAND_EXPIRED
        assert refusal.facts == {"late_ms": 5}

    def test_at_its_very_moment_it_has_not_expired(self) -> None:
        scene = given(host("h1"))

        assert done(scene.when(CordonHost(host="h1"), expires=scene.world.now))

    def test_one_that_expects_another_version_is_refused(self) -> None:
        scene = given(host("h1"))

        refusal = refused(scene.when(CordonHost(host="h1"), expect_version=7))

        assert refusal.code is Code.VERSION_CONFLICT
        assert refusal.facts == {"version": 1, "expected": 7}

    def test_one_that_expects_this_version_is_not(self) -> None:
        assert done(given(host("h1")).when(CordonHost(host="h1"), expect_version=1))

    def test_version_0_means_that_it_must_not_be_there(self) -> None:
        assert done(given().when(host("h1"), expect_version=0))

    def test_who_asked_and_why_is_written_down(self) -> None:
        commit = given().when(
            host("h1"), actor="alice", cause="x", reason="new", tenant="", fingerprint=b"f"
        )

        assert (commit.actor, commit.cause, commit.reason) == ("alice", "x", "new")
        assert (commit.command, commit.fingerprint) == ("host.register", b"f")


class TestTenants:
    def theirs(self) -> list[tuple[PublicCommand, PublicCommand]]:
        """Return commands about what another tenant has, and the same about what is not there."""
        add = AddLayer(environment="shop", layer=layer("x"))
        restart = RestartLayer(environment="shop", layer="app")
        scale = ScaleLayer(environment="shop", layer="app", by=1)
        return [
            (RemoveEnvironment(environment="shop"), RemoveEnvironment(environment="none")),
            *((ask, replace(ask, environment="none")) for ask in (add, restart, scale)),
            (ScaleNode(container="node1", reserved=2), ScaleNode(container="node9", reserved=2)),
            (MigrateContainer(container="node1"), MigrateContainer(container="node9")),
            (PauseOperation(operation="op1"), PauseOperation(operation="op9")),
        ]

    def test_what_belongs_to_another_is_not_there_and_nothing_betrays_it(self) -> None:
        scene = given(hosts(2))
        scene.ask(shop(2), tenant=OTHER)
        scene.settle()

        for about_theirs, about_nothing in self.theirs():
            there = refused(scene.when(about_theirs, tenant=ACME))
            nowhere = refused(scene.when(about_nothing, tenant=ACME))
            words = there.detail.replace("node1", "node9").replace("op1", "op9")
            assert words.replace("shop", "none") == nowhere.detail
            assert (there.code, there.path) == (nowhere.code, nowhere.path)
            assert set(there.facts) == set(nowhere.facts)

    def test_a_version_does_not_betray_it_either(self) -> None:
        scene = given(hosts(2))
        scene.ask(shop(2), tenant=OTHER)

        refusal = refused(
            scene.when(RemoveEnvironment(environment="shop"), tenant=ACME, expect_version=99)
        )

        assert refusal.code is Code.ENVIRONMENT_NOT_FOUND

    def test_a_name_that_is_taken_is_taken(self) -> None:
        scene = given(hosts(2))
        scene.ask(shop(1), tenant=OTHER)

        assert code(scene.when(shop(1), tenant=ACME)) is Code.ENVIRONMENT_EXISTS

    def test_hosts_are_for_operators(self) -> None:
        assert code(given().when(host("h1"), tenant=ACME)) is Code.AUTH_DENIED

    def test_what_is_theirs_they_may_touch(self) -> None:
        scene = given(hosts(2))
        scene.ask(shop(2), tenant=ACME)
        scene.settle()

        assert scene.fleet.environments[EnvironmentId("shop")].tenant == ACME
        assert done(scene.when(ScaleNode(container="node1", reserved=2), tenant=ACME))
        scene.settle()
        assert done(scene.when(RestartLayer(environment="shop", layer="app"), tenant=ACME))
        assert done(scene.when(PauseOperation(operation="op2"), tenant=ACME))

    def test_the_operator_may_touch_everything(self) -> None:
        scene = given(hosts(2))
        scene.ask(shop(2), tenant=OTHER)
        scene.settle()

        assert done(scene.when(ScaleNode(container="node1", reserved=2)))


class TestNoTrace:
    def test_a_refusal_leaves_none_though_much_was_tried(self) -> None:
        scene = given(hosts(2, cloudlets=8), shop(2))
        before = state_of(scene.world.region)
        many = CreateEnvironment(
            environment="big", layers=(layer(count=6), layer("b", count=9, reserved=1))
        )

        assert scene.when(many).answer.__class__ is Refusal

        after = state_of(scene.world.region)
        del before["answers"], after["answers"]
        assert after == before

    def test_a_bug_leaves_none_either(self) -> None:
        scene = given(hosts(2), shop(2))
        before = state_of(scene.world.region)
        bug = PlaceContainer(environment="nowhere", layer="app")

        with pytest.raises(KeyError):
            scene.world.region.decide(asked(bug), scene.world.now)

        assert state_of(scene.world.region) == before

    def test_a_bug_after_facts_leaves_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = given(hosts(2), shop(2))
        before = state_of(scene.world.region)

        def broken(*_: object) -> object:
            raise ArithmeticError

        monkeypatch.setitem(decide, AdvanceStep, broken)
        with pytest.raises(ArithmeticError):
            scene.world.region.decide(
                asked(RestartLayer(environment="shop", layer="app")), scene.world.now
            )

        assert state_of(scene.world.region) == before

    def test_what_a_saga_asks_must_not_be_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = given(hosts(2), shop(2))
        no = Refusal(Code.INTERNAL, "no")
        monkeypatch.setitem(decide, AdvanceStep, lambda *_: no)

        with pytest.raises(AssertionError, match="a saga's ask was refused"):
            scene.world.region.decide(
                asked(RestartLayer(environment="shop", layer="app")), scene.world.now
            )

    def test_a_saga_that_runs_in_a_circle_is_a_bug(self, monkeypatch: pytest.MonkeyPatch) -> None:
        region = Region()
        again = AdvanceOperation(operation="op1")
        monkeypatch.setitem(decide, AdvanceOperation, lambda *_: Decision(then=(again,)))

        with pytest.raises(AssertionError, match="led to more than 20000 asks"):
            region.decide(asked(again), START)


class TestTooLarge:
    def wide(self) -> Region:
        region = Region()
        for name in ("h1", "h2"):
            region.decide(asked(host(name, cloudlets=40_000, disk_gib=65_536), name), START)
        return region

    def test_what_would_not_pass_the_bus_is_refused_and_leaves_no_trace(self) -> None:
        region = self.wide()
        many = CreateEnvironment(
            environment="big", layers=(layer("a", count=900), layer(count=900))
        )

        commit = region.decide(asked(many), START)

        assert refused(commit) == TOO_LARGE
        assert refused(commit).facts == {"maximum_bytes": COMMIT_BYTES_MAX}
        assert not region.fleet.containers

    def test_what_just_passes_is_done(self) -> None:
        commit = self.wide().decide(asked(shop(1_000)), START)

        assert done(commit)
        assert COMMIT_BYTES_MAX / 2 < size_of(commit.answer, commit.events) < COMMIT_BYTES_MAX

    def test_far_too_much_is_refused_before_all_of_it_was_tried(self) -> None:
        layers = tuple(layer(f"l{n}", count=1_000) for n in range(32))
        much = CreateEnvironment(environment="big", layers=layers)

        assert refused(self.wide().decide(asked(much), START)) == TOO_LARGE


class TestTime:
    def test_it_never_runs_backwards(self) -> None:
        region = Region()
        region.decide(asked(host("h1")), Instant(1_000))

        commit = region.decide(asked(host("h2"), "b"), Instant(500))

        assert commit.at == 1_000

    def test_positions_and_versions_count_events(self) -> None:
        scene = given(host("h1"), CordonHost(host="h1"), UncordonHost(host="h1"))

        assert scene.world.region.position == 3
        assert scene.world.region.versions == {"host.h1": 3}


class TestDeadlines:
    def test_one_that_is_not_due_yet_changes_nothing(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app"))
        ((saga, due),) = scene.fleet.deadlines.items()

        early = scene.ask(DeadlinePassed(saga=saga, due=due))

        assert early.answer == Unchanged()

    def test_one_that_was_moved_meanwhile_changes_nothing(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app"))

        moved = scene.ask(DeadlinePassed(saga="op2", due=START))

        assert moved.answer == Unchanged()

    def test_one_of_nothing_that_is_known_changes_nothing(self) -> None:
        assert given().ask(DeadlinePassed(saga="op9", due=START)).answer == Unchanged()

    def test_there_are_none_when_all_is_over(self) -> None:
        scene = given(
            hosts(3),
            shop(2),
            RestartLayer(environment="shop", layer="app"),
            MigrateContainer(container="node1"),
        )

        assert scene.fleet.deadlines == {}


class TestReports:
    def test_an_order_answered_by_another_host_is_refused(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(ScaleNode(container="node1", reserved=2))
        (order,) = scene.fleet.orders
        report = ReportOrder(ask=AskId("x"), host=HostId("h9"), order=order, done=True)

        assert code(scene.ask(report)) is Code.AUTH_DENIED

    def test_of_a_long_story_of_an_agent_the_beginning_is_kept(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(ScaleNode(container="node1", reserved=2))
        ((name, order),) = scene.fleet.orders.items()
        said = "x" * COMMIT_BYTES_MAX
        report = ReportOrder(ask=AskId("x"), host=order.to, order=name, done=False, detail=said)

        assert OrderAnswered(name, order.container, done=False, detail="x" * DETAIL_MAX) in facts(
            scene.ask(report)
        )

    def test_an_order_that_is_not_owed_changes_nothing(self) -> None:
        report = ReportOrder(ask=AskId("x"), host=HostId("h9"), order="or9", done=True)  # type: ignore[arg-type]

        assert given().ask(report).answer == Unchanged()

    def test_health_is_believed_from_where_the_container_is(self) -> None:
        scene = given(hosts(3), shop(2))

        def health(where: str, name: str) -> ReportHealth:
            return ReportHealth(
                ask=AskId(name), host=HostId(where), container=name_of, healthy=False
            )

        name_of = scene.container("node1").id
        assert kinds(scene.ask(health("h2", "a"))) == []
        assert kinds(scene.ask(health("h1", "b"))) == ["ContainerHealthChanged"]
        assert kinds(scene.ask(health("h1", "c"))) == []

    def test_health_of_what_is_not_there_changes_nothing(self) -> None:
        report = ReportHealth(ask=AskId("x"), host=HostId("h1"), container="node9", healthy=True)  # type: ignore[arg-type]

        assert given().ask(report).answer == Unchanged()

    def test_one_that_runs_again_is_believed_to_run(self) -> None:
        scene = given(hosts(3), shop(2))
        name = scene.container("node1").id
        scene.world.machines.crash(name)
        scene.settle()
        up = ReportHealth(ask=AskId("up"), host=HostId("h1"), container=name, healthy=True)

        assert kinds(scene.ask(up)) == ["ContainerStarted", "ContainerHealthChanged"]
        scene.world.machines.truth[name] = HostId("h1")
        scene.world.machines.well[name] = True
        assert scene.container("node1").operable

    def test_one_that_runs_before_its_start_is_answered_runs_from_what_was_ordered(self) -> None:
        scene = given(hosts(3))
        scene.ask(shop(1))
        name = scene.container("node1").id
        assert scene.container("node1").software is None
        where = scene.container("node1").host
        up = ReportHealth(ask=AskId("up"), host=where, container=name, healthy=True)

        started = one(scene.ask(up), ContainerStarted)

        assert started.software == Software("restow/counter:1")

    def test_what_stopped_stops_once(self) -> None:
        scene = given(hosts(3), shop(2))
        name = scene.container("node1").id
        scene.world.machines.crash(name)
        scene.settle()
        down = ReportHealth(
            ask=AskId("down"), host=HostId("h1"), container=name, healthy=False, running=False
        )

        assert kinds(scene.ask(down)) == []


class TestInternalAsks:
    """What sagas ask comes to nothing when it comes too late."""

    @pytest.mark.parametrize(
        "ask",
        [
            AdvanceOperation(operation="op9"),
            AdvanceOperation(operation="op1"),
            AdvanceStep(operation="op9", container="node1"),
            AdvanceStep(operation="op1", container="node1"),
            ReconcileSize(container="node9"),  # type: ignore[arg-type]
            ReconcileSize(container="node1"),  # type: ignore[arg-type]
        ],
    )
    def test_nothing_to_do(self, ask: Command) -> None:
        assert unchanged(given(hosts(2), shop(1)).ask(ask))


class TestTables:
    def test_every_event_means_something(self) -> None:
        assert missing() == ()

    def test_every_command_is_decided_by_someone(self) -> None:
        commands = set(subclasses(Command))

        assert {command for command in commands if has_tag(command)} == set(DECIDE)

    def test_every_event_has_a_stream(self) -> None:
        assert {noun_of(fact) for fact in FACTS} <= set(NOUNS)

    def test_every_event_has_a_name_of_its_own(self) -> None:
        assert len({tag(fact) for fact in FACTS}) == len(FACTS)

    def test_a_stream_is_named_by_noun_and_id(self) -> None:
        commit = given().when(host("h1"))

        assert stream_of(facts(commit)[0]) == "host.h1"
        assert stream_named(CordonHost(host="h1")) == "host.h1"
        assert stream_named(Command()) == ""

    def test_what_nobody_reacts_to_leads_to_nothing(self) -> None:
        scene = given(host("h1"))

        assert react(scene.fleet, scene.world.happened()[0][1]) == ()


def subclasses(kind: type) -> list[type]:
    direct: list[type] = kind.__subclasses__()
    return [*direct, *(sub for one in direct for sub in subclasses(one))]


def has_tag(command: type) -> bool:
    """Say whether a command is one that may be asked, and not only a base of some."""
    tag_of = getattr(command, "__struct_config__").tag  # noqa: B009 - types do not know it
    return isinstance(tag_of, str) and "." in tag_of


def test_how_long_a_stream_was_is_forgotten_with_what_it_is_about(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("domain.fleet.RECENT_MAX", 2)
    scene = given(hosts(3), shop(2, reserved=1, limit=8))
    region = scene.world.region
    for count in (1, 2, 1, 2, 1):
        scene.ask(ScaleLayer(environment="shop", layer="app", count=count))
        scene.settle()

    streams = sorted(region.versions)

    assert len(region.fleet.operations) == 2
    assert [one for one in streams if one.startswith("container")] == ["container.node1"]
    assert [one for one in streams if one.startswith("operation")] == [
        f"operation.{name}" for name in sorted(region.fleet.operations)
    ]
    again = Region()
    for frame in map(decode_frame, scene.world.journal):
        again.absorb(frame)
    assert again.versions == region.versions
