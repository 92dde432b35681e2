"""Plans: a dry run tells the whole story, and a command that names it does that or is refused."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from domain.container import ContainerPlaced, ContainerRemoved
from domain.decider import Ask, Commit
from domain.durations import DEFAULTS, MEASURED_MIN
from domain.environment import CreateEnvironment, LayerSpec
from domain.facts import Fact
from domain.host import CordonHost, RelabelHost
from domain.lately import EVENTS_MAX as REMEMBERED_MAX
from domain.messages import (
    Accepted,
    AskId,
    Code,
    ContainerId,
    Event,
    HostId,
    Instant,
    OperationId,
    PublicCommand,
    Refusal,
)
from domain.migration import MigrateContainer, MigrationCompleted
from domain.operation import (
    AdvanceOperation,
    PauseOperation,
    RestartLayer,
    ResumeOperation,
    ScaleLayer,
    ScaleNode,
    SetCloudletLimits,
    Stage,
    StepFinished,
)
from domain.orders import Restart
from domain.plan import Forecast, Plan, alike, bond_of
from restow.simulation.machines import Nature
from restow.simulation.world import state_of
from tests.domain.test_twice import DONE, fleet, name_of
from tests.examples import (
    Scene,
    code,
    done,
    facts,
    given,
    host,
    hosts,
    layer,
    refused,
    shop,
    unchanged,
)

RESTART = RestartLayer(environment="shop", layer="app", delay_s=10)
MOVE = MigrateContainer(container="node1")
GROW = ScaleNode(container="node1", reserved=6)


def full() -> Scene:
    """Return a host of 8 cloudlets with node1 of 4 and node2 of 3, and an empty one."""
    scene = given(
        host("h1", cloudlets=8),
        shop(1, reserved=4),
        CreateEnvironment(environment="blog", layers=(layer(reserved=3),)),
    )
    scene.ask(host("h2", cloudlets=8))
    return scene


def plan(scene: Scene, command: PublicCommand, **more: Any) -> Plan:
    """Return the plan of a command that would be done."""
    region = scene.world.region
    answer, made = region.plan(Ask(AskId("plan"), command, dry_run=True, **more), scene.world.now)
    assert made is not None, answer
    return made


def forecast(scene: Scene, command: PublicCommand) -> Forecast:
    return plan(scene, command).forecast


def apply(scene: Scene, planned: Plan, name: str | None = None) -> Commit[Fact]:
    """Send the command that a plan gives."""
    return scene.world.ask(planned.command, name, expect_plan=planned.name)


def busy() -> Scene:
    """Return a shop whose three containers are on three hosts of four."""
    return given(hosts(4), shop(3, reserved=2, limit=8))


def moves(happened: list[Event]) -> Iterator[tuple[ContainerId, str, HostId | None]]:
    """Give what was placed, moved and removed, and where to."""
    for fact in happened:
        if isinstance(fact, ContainerPlaced):
            yield fact.container, "placed", fact.host
        elif isinstance(fact, MigrationCompleted):
            yield fact.container, "moved", fact.target
        elif isinstance(fact, ContainerRemoved):
            yield fact.container, "removed", None


class TestEveryCommand:
    @pytest.mark.parametrize("command", DONE, ids=name_of)
    def test_is_planned_without_effect(self, command: PublicCommand) -> None:
        scene = fleet(command)
        before = state_of(scene.world.region)
        journal = list(scene.world.journal)

        first, second = plan(scene, command), plan(scene, command)

        assert state_of(scene.world.region) == before
        assert scene.world.journal == journal
        assert first == second

    @pytest.mark.parametrize("command", DONE, ids=name_of)
    def test_is_done_as_planned_where_nothing_happened_in_between(
        self, command: PublicCommand
    ) -> None:
        scene = fleet(command)
        planned = plan(scene, command)

        commit = apply(scene, planned)

        assert facts(commit) == list(planned.facts)
        assert done(commit)

    @pytest.mark.parametrize("command", DONE, ids=name_of)
    def test_comes_to_the_end_that_was_foreseen(self, command: PublicCommand) -> None:
        scene = fleet(command)
        foreseen = plan(scene, command)
        start = len(scene.world.happened())
        apply(scene, foreseen)

        scene.settle()

        happened = [fact for _, fact in scene.world.happened()[start:]]
        sagas = {ending.saga for ending in foreseen.forecast.endings}
        steps = {
            (step.container, step.outcome) for step in foreseen.forecast.steps if step.saga in sagas
        }
        assert steps == {
            (fact.container, str(fact.outcome) if isinstance(fact, StepFinished) else "done")
            for fact in happened
            if (isinstance(fact, StepFinished) and fact.operation in sagas)
            or (isinstance(fact, MigrationCompleted) and fact.migration in sagas)
        }
        moved = {(move.container, move.kind, move.target) for move in foreseen.forecast.moves}
        assert moved <= set(moves(happened))

    @pytest.mark.parametrize("command", DONE, ids=name_of)
    def test_under_the_name_of_a_plan_of_another_command_is_refused(
        self, command: PublicCommand
    ) -> None:
        scene = fleet(command)
        other = plan(scene, RelabelHost(host="h2", labels={"rack": "r7"}))

        commit = scene.world.ask(command, expect_plan=other.name)

        assert code(commit) is Code.REQUEST_INVALID
        assert refused(commit).path == "$.expect_plan"


class TestTheForecast:
    @pytest.mark.parametrize(
        "command",
        [
            RESTART,
            MOVE,
            ScaleLayer(environment="shop", layer="app", by=2),
            ScaleLayer(environment="shop", layer="app", by=-2),
            SetCloudletLimits(environment="shop", layer="app", reserved=4, mode="simultaneous"),
            CreateEnvironment(environment="blog", layers=(LayerSpec(name="app", count=5),)),
        ],
        ids=["restart", "migrate", "more", "fewer", "limits", "create"],
    )
    def test_has_hosts_and_endings_as_they_come_to_be(self, command: PublicCommand) -> None:
        scene = busy()
        before = dict(scene.fleet.hosts)
        planned = plan(scene, command)
        apply(scene, planned)
        scene.settle()

        changed = {name: host for name, host in scene.fleet.hosts.items() if host != before[name]}
        told = {one.host: one for one in planned.forecast.hosts}
        assert told.keys() == changed.keys()
        for name, now in changed.items():
            one = told[name]
            assert (one.before, one.after) == (before[name].used, now.used)
            assert (one.containers_after, one.disk_after) == (now.containers, now.used_disk)
        for ending in planned.forecast.endings:
            operation = scene.fleet.operations.get(OperationId(ending.saga))
            assert operation is None or operation.outcome == ending.outcome

    def test_has_the_steps_in_order_with_their_orders(self) -> None:
        told = forecast(busy(), RESTART)

        assert [(step.container, step.kind, step.outcome) for step in told.steps] == [
            ("node1", "restart", "done"),
            ("node2", "restart", "done"),
            ("node3", "restart", "done"),
        ]
        assert told.steps[0].orders == ("route-out routing", "restart h1", "route-in routing")
        begins = [step.at_ms for step in told.steps]
        assert begins == sorted(begins)
        assert told.whole
        assert [(ending.saga, ending.outcome) for ending in told.endings] == [("op2", "done")]

    def test_says_what_its_time_is_made_of(self) -> None:
        told = forecast(busy(), RESTART)

        parts = {(part.what, part.source): (part.ms, part.times) for part in told.time}
        assert parts["ttl", "rule"] == (4_500, 3)
        assert parts["restart", "default"] == (3 * DEFAULTS["restart"].ms, 3)
        assert parts["delay", "setting"] == (2 * (10_000 - DEFAULTS["route-in"].ms), 2)
        assert sum(ms for ms, _ in parts.values()) == told.duration_ms

    def test_says_which_records_leave_dns_and_for_how_long(self) -> None:
        told = forecast(busy(), RESTART)

        first = told.dns[0]
        assert first.container == "node1"
        assert first.names == ("node1-shop.restow.internal", "app.shop.restow.internal")
        assert first.for_ms is not None
        assert first.at_ms + first.for_ms == told.steps[0].for_ms
        assert len(told.dns) == 3

    def test_says_which_records_leave_for_good(self) -> None:
        told = forecast(busy(), ScaleLayer(environment="shop", layer="app", count=2))

        assert [(window.container, window.for_ms) for window in told.dns] == [("node3", None)]

    def test_has_moves_and_hosts_before_and_after(self) -> None:
        told = forecast(busy(), MOVE)

        (move,) = told.moves
        assert (move.container, move.kind, move.source, move.target) == (
            "node1",
            "moved",
            "h1",
            "h4",
        )
        assert [(one.host, one.before, one.after) for one in told.hosts] == [
            ("h1", 2, 0),
            ("h4", 0, 2),
        ]

    def test_has_what_is_placed_and_what_is_removed(self) -> None:
        scene = busy()
        more = forecast(scene, ScaleLayer(environment="shop", layer="app", by=1))
        less = forecast(scene, ScaleLayer(environment="shop", layer="app", by=-1))

        assert [(one.kind, one.source, one.target) for one in more.moves] == [
            ("placed", None, "h4")
        ]
        assert [(one.kind, one.source, one.target) for one in less.moves] == [
            ("removed", "h3", None)
        ]

    def test_counts_an_order_without_a_saga_as_a_step_of_its_own(self) -> None:
        told = forecast(busy(), ScaleNode(container="node1", reserved=4))

        assert [(step.kind, step.orders, step.saga) for step in told.steps] == [
            ("resize", ("resize h1",), "")
        ]
        assert [(one.host, one.before, one.after) for one in told.hosts] == [("h1", 2, 4)]

    def test_of_a_new_host_has_nothing_that_was_before(self) -> None:
        told = forecast(busy(), host("h9"))

        assert told.hosts == ()
        assert (told.duration_ms, told.whole) == (0, True)

    def test_measures_migrations_where_there_were_enough(self) -> None:
        scene = busy()
        for _ in range(MEASURED_MIN):
            scene.ask(MigrateContainer(container="node2"))
            scene.settle()
        totals = sorted(one.total_ms for one in scene.happened(MigrationCompleted))

        told = forecast(scene, MOVE)

        assert [(part.source, part.ms) for part in told.time] == [
            ("measured", totals[MEASURED_MIN // 2])
        ]

    def test_waits_behind_what_holds_the_layer_and_says_so(self) -> None:
        scene = busy()
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))

        told = forecast(scene, RESTART)

        assert next(part.what for part in told.time) == "queue"
        assert [(ending.saga, ending.outcome) for ending in told.endings] == [("op3", "done")]
        assert {step.saga for step in told.steps} == {"op3"}
        assert told.whole

    def test_is_not_whole_where_others_must_do_something_first(self) -> None:
        scene = busy()
        scene.ask(RestartLayer(environment="shop", layer="app", ask=True))
        scene.settle()

        told = forecast(scene, RESTART)

        assert not told.whole
        assert [(ending.saga, ending.outcome) for ending in told.endings] == [("op3", "queued")]

    def test_goes_on_with_what_was_under_way(self) -> None:
        scene = busy()
        scene.ask(RESTART)
        scene.ask(PauseOperation(operation="op2"))

        told = forecast(scene, ResumeOperation(operation="op2"))

        assert [step.outcome for step in told.steps] == ["done", "done", "done"]
        assert told.whole

    def test_heals_what_was_just_started(self) -> None:
        scene = busy()
        scene.ask(RESTART)
        while not any(step.stage is Stage.CHECKING for step in scene.operation(2).steps):
            scene.pass_(50)

        told = forecast(scene, PauseOperation(operation="op2"))

        assert (told.whole, told.endings[0].outcome) == (False, "running")
        assert "healthy" in {part.what for part in told.time}

    def test_foresees_a_step_that_will_wait_in_vain(self) -> None:
        scene = given(hosts(2), shop(2))
        scene.world.machines.sick.add("node2")
        scene.world.machines.crash(ContainerId("node2"))
        scene.settle()

        told = forecast(scene, RESTART)

        assert [(ending.outcome, ending.detail) for ending in told.endings] == [
            ("failed", "node1 is the only operable container of shop/app (2 in all)")
        ]

    def test_of_a_story_that_is_too_long_is_reckoned_from_its_beginning(self) -> None:
        count = 150
        scene = given(hosts(5, cloudlets=64), shop(count))

        told = forecast(scene, RestartLayer(environment="shop", layer="app", delay_s=1))

        assert not told.whole
        assert 0 < len(told.steps) < count
        rest = told.time[-1]
        assert (rest.what, rest.times) == ("rest", count - len(told.steps))
        played = told.duration_ms - rest.ms
        assert rest.ms == pytest.approx(played / len(told.steps) * rest.times, rel=0.05)

    def test_plays_the_moves_ahead_that_a_move_waits_for(self) -> None:
        scene = given(host("h1"), shop(4), host("h2"))
        scene.ask(MigrateContainer(container="node1", target="h2"))
        scene.ask(MigrateContainer(container="node2", target="h2"))

        told = forecast(scene, MigrateContainer(container="node3", target="h2"))

        assert [(move.container, move.kind) for move in told.moves] == [("node3", "moved")]
        assert [part.what for part in told.time] == ["queue", "migrate"]
        assert told.whole

    def test_plays_the_operation_ahead_that_has_the_container_and_no_further(self) -> None:
        scene = busy()
        scene.ask(RESTART)

        told = forecast(scene, MOVE)

        assert told.steps[0].at_ms < 10_000
        assert {step.saga for step in told.steps} == {"mv1"}
        assert told.duration_ms < 15_000
        assert told.whole

    def test_a_move_that_waits_in_vain_is_given_up(self) -> None:
        scene = given(hosts(2), shop(2))
        scene.world.machines.sick.add("node2")
        scene.world.machines.crash(ContainerId("node2"))
        scene.settle()

        told = forecast(scene, MOVE)

        assert [(ending.saga, ending.outcome) for ending in told.endings] == [("mv1", "abandoned")]
        assert [(part.what, part.ms) for part in told.time] == [("wait", 600_000)]
        assert [step.outcome for step in told.steps] == ["failed"]

    def test_foresees_that_a_move_is_called_off_for_a_growth_that_does_not_fit(self) -> None:
        scene = given(host("h1"), shop(1, reserved=2, limit=8), host("h2", cloudlets=4))
        scene.ask(MigrateContainer(container="node1", target="h2"))

        told = forecast(scene, ScaleNode(container="node1", reserved=8))

        assert [(ending.saga, ending.outcome) for ending in told.endings] == [("mv1", "reverted")]
        assert [(step.kind, step.outcome) for step in told.steps] == [
            ("migrate", "failed"),
            ("resize", "done"),
        ]


class TestMakingRoom:
    """A size that does not fit is planned with all that makes it fit."""

    def test_foresees_who_makes_room_and_keeps_to_it(self) -> None:
        scene = full()
        planned = plan(scene, GROW)
        told = planned.forecast

        assert [(ending.saga, ending.outcome) for ending in told.endings] == [
            ("gr1", "done"),
            ("mv1", "completed"),
        ]
        assert [(step.container, step.kind) for step in told.steps] == [
            ("node2", "migrate"),
            ("node1", "resize"),
        ]
        assert [(move.container, move.source, move.target) for move in told.moves] == [
            ("node2", "h1", "h2")
        ]
        assert [(one.host, one.before, one.after) for one in told.hosts] == [
            ("h1", 7, 6),
            ("h2", 0, 3),
        ]
        assert told.whole

        assert done(apply(scene, planned))
        scene.settle()
        assert [(one.id, one.used) for one in scene.fleet.hosts.values()] == [("h1", 6), ("h2", 3)]

    def test_is_refused_where_others_would_have_to_move(self) -> None:
        scene = full()
        scene.ask(host("h3", cloudlets=4))
        planned = plan(scene, GROW)
        scene.ask(CordonHost(host="h2"))

        assert code(apply(scene, planned)) is Code.PLAN_OUTDATED
        assert not scene.fleet.growths

    def test_foresees_what_is_given_room_by_a_move_of_others(self) -> None:
        scene = full()
        scene.ask(MigrateContainer(container="node2"))

        told = forecast(scene, GROW)

        assert [(ending.saga, ending.outcome) for ending in told.endings] == [("gr1", "done")]
        assert [(step.container, step.kind) for step in told.steps] == [("node1", "resize")]
        assert told.moves == ()
        assert (told.whole, told.duration_ms) == (True, 5_200)

    def test_foresees_what_grows_where_it_is_moving_to(self) -> None:
        scene = full()
        scene.ask(MigrateContainer(container="node1"))

        told = forecast(scene, GROW)

        assert [(ending.saga, ending.outcome) for ending in told.endings] == [("gr1", "done")]
        assert [(step.container, step.kind) for step in told.steps] == [("node1", "resize")]

    def test_foresees_the_room_that_a_step_of_an_operation_needs(self) -> None:
        scene = given(host("h1", cloudlets=8), shop(2, reserved=3, limit=8))
        scene.ask(host("h2", cloudlets=8))
        planned = plan(scene, SetCloudletLimits(environment="shop", layer="app", reserved=5))

        assert [ending.outcome for ending in planned.forecast.endings] == ["done"]
        assert [move.container for move in planned.forecast.moves] == ["node2"]
        assert done(apply(scene, planned))
        scene.settle()
        assert scene.operation(2).outcome == "done"

    def test_foresees_what_stands_behind_an_operation_that_waits_for_room(self) -> None:
        scene = given(host("h1", cloudlets=8), shop(2, reserved=3, limit=8))
        scene.ask(host("h2", cloudlets=8))
        scene.ask(SetCloudletLimits(environment="shop", layer="app", reserved=6, delay_s=0))
        scene.pass_(300)
        assert scene.fleet.growing

        told = forecast(scene, RESTART)

        assert told.whole
        assert [(ending.saga, ending.outcome) for ending in told.endings] == [("op3", "done")]


class TestApplying:
    def test_asked_twice_is_done_once(self) -> None:
        scene = busy()
        planned = plan(scene, RESTART)

        first = apply(scene, planned, "once")
        known = scene.world.region.answers.get(AskId("once"))

        assert done(first)
        assert known is not None
        assert known.answer == first.answer

    def test_a_second_time_under_a_new_id_is_something_else(self) -> None:
        scene = busy()
        planned = plan(scene, RESTART)
        apply(scene, planned)

        again = apply(scene, planned)

        assert code(again) is Code.PLAN_OUTDATED

    def test_a_plan_that_changes_nothing_is_applied_as_that(self) -> None:
        scene = busy()
        planned = plan(scene, ScaleLayer(environment="shop", layer="app", count=3))

        assert planned.facts == ()
        assert unchanged(apply(scene, planned))

    @pytest.mark.parametrize(
        "change",
        [
            CordonHost(host="h4"),
            ScaleNode(container="node1", reserved=4),
            ScaleLayer(environment="shop", layer="app", by=1),
            MigrateContainer(container="node2", target="h4"),
            CreateEnvironment(
                environment="blog", layers=(LayerSpec(name="app", reserved=31, limit=31),)
            ),
        ],
        ids=name_of,
    )
    def test_is_refused_after_what_makes_it_something_else(self, change: PublicCommand) -> None:
        scene = busy()
        planned = plan(scene, MOVE)
        scene.ask(change)
        scene.settle()
        before = state_of(scene.world.region)["versions"]

        commit = apply(scene, planned)

        refusal = refused(commit)
        assert refusal.code is Code.PLAN_OUTDATED
        assert refusal.path == "$.expect_plan"
        assert state_of(scene.world.region)["versions"] == before
        changed = refusal.facts["changed"]
        assert isinstance(changed, list)
        assert any(str(change.__struct_config__.tag) in line for line in changed)
        assert changed[0] in refusal.detail

    @pytest.mark.parametrize(
        "change",
        [
            CreateEnvironment(environment="blog", layers=(layer(),)),
            RelabelHost(host="h2", labels={"zone": "b", "rack": "r7"}),
            host("h5", zone="c", cloudlets=1),
        ],
        ids=name_of,
    )
    def test_is_done_after_what_makes_no_difference_though_numbers_go_on(
        self, change: PublicCommand
    ) -> None:
        scene = busy()
        planned = plan(scene, RESTART)
        scene.ask(change)
        scene.settle()

        commit = apply(scene, planned)

        assert done(commit)
        assert list(alike(tuple(facts(commit)))) == list(alike(planned.facts))

    def test_is_refused_where_a_later_step_would_go_otherwise(self) -> None:
        scene = busy()
        planned = plan(scene, RESTART)
        scene.world.machines.sick.update({"node2", "node3"})
        scene.world.machines.crash(ContainerId("node2"))
        scene.world.machines.crash(ContainerId("node3"))
        scene.pass_(1_000)

        assert code(apply(scene, planned)) is Code.PLAN_OUTDATED

    def test_says_what_it_would_be_refused_with_now(self) -> None:
        scene = busy()
        planned = plan(scene, MigrateContainer(container="node1", target="h4"))
        scene.ask(CordonHost(host="h4"))

        refusal = refused(apply(scene, planned))

        assert refusal.facts["now"] == "capacity.insufficient"
        assert "would now be refused (node1 cannot go to h4" in refusal.detail

    def test_says_so_where_only_time_has_passed(self) -> None:
        scene = busy()
        scene.ask(RESTART)
        scene.pass_(8_000)
        assert scene.operation(2).state.value == "delaying"
        scene.ask(PauseOperation(operation="op2"))
        planned = plan(scene, ResumeOperation(operation="op2"))
        scene.world.now = Instant(scene.world.now + 60_000)

        refusal = refused(apply(scene, planned))

        assert "only time has passed" in refusal.detail
        assert refusal.facts["changed"] == []

    def test_what_is_against_the_command_itself_goes_first(self) -> None:
        scene = busy()
        planned = plan(scene, RESTART)
        scene.ask(CordonHost(host="h4"))

        late = scene.world.ask(
            planned.command, expect_plan=planned.name, expires=Instant(scene.world.now - 1)
        )

        assert code(late) is Code.COMMAND_EXPIRED

    def test_a_plan_from_a_later_position_was_not_made_here(self) -> None:
        scene = busy()
        planned = plan(scene, RESTART)
        ahead = f"{scene.world.region.position + 1}{planned.name[planned.name.index('-') :]}"

        commit = scene.world.ask(RESTART, expect_plan=ahead)

        assert code(commit) is Code.REQUEST_INVALID

    def test_a_position_cannot_be_put_on_another_plan(self) -> None:
        scene = busy()
        planned = plan(scene, RESTART)
        earlier = f"{bond_of(planned.name).position - 1}{planned.name[planned.name.index('-') :]}"

        assert code(scene.world.ask(RESTART, expect_plan=earlier)) is Code.PLAN_OUTDATED

    def test_a_dry_run_may_ask_whether_a_plan_still_holds(self) -> None:
        scene = busy()
        planned = plan(scene, MOVE)
        anew = plan(scene, MOVE, expect_plan=planned.name)
        scene.ask(CordonHost(host="h4"))

        ask = Ask(AskId("plan"), MOVE, dry_run=True, expect_plan=planned.name)
        answer, none = scene.world.region.plan(ask, scene.world.now)

        assert anew == planned
        assert isinstance(answer, Refusal)
        assert (answer.code, none) == (Code.PLAN_OUTDATED, None)

    def test_what_is_not_remembered_any_more_cannot_be_told(self) -> None:
        scene = busy()
        planned = plan(scene, MOVE)
        scene.ask(CordonHost(host="h4"))
        scene.world.kill()
        scene.world.region.lately = type(scene.world.region.lately)()

        assert "not remembered any more" in refused(apply(scene, planned)).detail

    def test_many_changes_are_told_by_their_number(self) -> None:
        scene = busy()
        planned = plan(scene, MOVE)
        for number in range(10):
            scene.ask(RelabelHost(host="h4", labels={"rack": f"r{number}"}))
        scene.ask(CordonHost(host="h4"))

        assert refused(apply(scene, planned)).detail.endswith("; and 3 more")

    def test_reason_and_expiry_do_not_make_another_plan_but_the_command_does(self) -> None:
        scene = busy()
        planned = plan(scene, RESTART)

        stamped = msgspec.structs.replace(RESTART, id="mine", dry_run=True, expect_version=3)

        assert plan(scene, stamped).name == planned.name
        assert plan(scene, stamped).command == planned.command
        other = msgspec.structs.replace(RESTART, delay_s=11)
        assert plan(scene, other).name != planned.name


def test_there_is_no_plan_of_what_would_be_refused() -> None:
    scene = busy()

    answer, none = scene.world.region.plan(
        Ask(AskId("p"), CordonHost(host="nobody")), scene.world.now
    )

    assert isinstance(answer, Refusal)
    assert none is None


def test_there_is_no_plan_of_what_only_sagas_ask() -> None:
    scene = busy()

    name = plan(scene, RESTART).name
    ask = Ask(AskId("p"), AdvanceOperation(operation="op1"), expect_plan=name)
    answer, none = scene.world.region.plan(ask, scene.world.now)

    assert none is None
    assert not isinstance(answer, Accepted)


def test_what_was_written_lately_is_forgotten_from_the_oldest_on() -> None:
    scene = given(host("h1"))
    lately = scene.world.region.lately
    (commit,) = [one for one in scene.world.commits() if one.events]
    for position in range(2, REMEMBERED_MAX + 10):
        lately.take(position, commit)

    remembered = [change.position for change in lately.since(0)]

    assert len(remembered) == REMEMBERED_MAX
    assert (remembered[0], remembered[-1]) == (REMEMBERED_MAX + 9, 10)
    assert [change.position for change in lately.since(REMEMBERED_MAX + 7)] == [
        REMEMBERED_MAX + 9,
        REMEMBERED_MAX + 8,
    ]


def test_a_failure_is_not_foreseen_and_the_plan_was_kept_to_all_the_same() -> None:
    scene = busy().fail("node2", Restart)
    planned = plan(scene, RESTART)

    commit = apply(scene, planned)
    scene.settle()

    assert done(commit)
    assert scene.operation(2).outcome == "failed"


def test_a_plan_outlives_the_engine_that_made_it() -> None:
    scene = given(hosts(4), shop(3, reserved=2, limit=8), nature=Nature())
    planned = plan(scene, SetCloudletLimits(environment="shop", layer="app", reserved=4))
    scene.world.kill()

    assert done(apply(scene, planned))
    assert HostId("h1") in scene.fleet.hosts
