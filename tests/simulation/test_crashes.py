"""The engine is killed after every frame of every story, and the story ends as if it had not been.

What a machine does is drawn by the name of its order, so the same decisions lead to the same
world: after a crash the journal is the same, byte for byte, to the end.
"""

from functools import cache

import pytest
from msgspec.structs import replace

from domain.decider import Ask
from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import (
    AddLayer,
    CreateEnvironment,
    LayerSpec,
    RemoveEnvironment,
    StartEnvironment,
    StopEnvironment,
)
from domain.growth import CancelGrowth
from domain.messages import AskId, ContainerId, Unchanged
from domain.migration import MigrateContainer
from domain.operation import (
    CancelOperation,
    Finished,
    Operation,
    RestartLayer,
    ScaleLayer,
    ScaleNode,
    SetCloudletLimits,
)
from domain.orders import MigrateOut, Redeploy, RouteIn
from domain.software import Application, Software
from domain.vertical import FollowUsage
from restow.simulation.ending import nothing_is_stuck
from restow.simulation.machines import Nature
from restow.simulation.world import World
from tests.examples import host
from tests.simulation.crashing import (
    CALM,
    ECHO,
    Story,
    killed_amid_echoes,
    killed_anywhere,
    lost_anywhere,
)


def shop(world: World, count: int = 3) -> None:
    """Begin with a small shop on six hosts."""
    world.hosts(6, cloudlets=16)
    app = LayerSpec(name="app", count=count, reserved=2, limit=8)
    world.ask(CreateEnvironment(environment="shop", layers=(app,)), "create")
    world.settle()


def restart_one_by_one(world: World) -> None:
    shop(world)
    world.ask(RestartLayer(environment="shop", layer="app", delay_s=1), "restart")
    world.settle()


def restart_all_at_once(world: World) -> None:
    shop(world)
    how = RestartLayer(environment="shop", layer="app", mode="simultaneous", on_failure="continue")
    world.ask(how, "restart")
    world.settle()


def restart_with_surge(world: World) -> None:
    shop(world, count=1)
    world.ask(RestartLayer(environment="shop", layer="app", surge=True), "restart")
    world.settle()


def scale_out_and_in(world: World) -> None:
    shop(world)
    world.ask(ScaleLayer(environment="shop", layer="app", count=5), "out")
    world.ask(ScaleLayer(environment="shop", layer="app", count=2, victim="skew"), "in")
    world.settle()


def follow_usage_while_moving(world: World) -> None:
    shop(world)
    world.ask(MigrateContainer(container="node1", target="h06"), "move")
    world.ask(FollowUsage(container=ContainerId("node1"), cloudlets=7), "more")
    world.pass_(100)
    world.ask(FollowUsage(container=ContainerId("node2"), cloudlets=5), "other")
    world.settle()
    world.ask(FollowUsage(container=ContainerId("node1"), cloudlets=3), "less")
    world.settle()


def limits_and_back(world: World) -> None:
    """Set limits that the last container cannot have; so none of them has."""
    shop(world)
    world.ask(ScaleNode(container="node3", reserved=10, limit=10), "grown")
    full = CreateEnvironment(environment="full", layers=(LayerSpec(name="a", reserved=4),))
    world.ask(full, "full")
    world.settle()
    world.ask(MigrateContainer(container="node4", target="h03"), "beside")
    world.settle()
    wide = CreateEnvironment(
        environment="wide", layers=(LayerSpec(name="b", reserved=16, count=3),)
    )
    world.ask(wide, "wide")
    world.pass_(30_000)
    how = SetCloudletLimits(
        environment="shop", layer="app", reserved=13, delay_s=1, on_failure="rollback"
    )
    world.ask(how, "limits")
    world.settle()


def limits_without_dns(world: World) -> None:
    shop(world)
    how = SetCloudletLimits(
        environment="shop", layer="app", reserved=4, limit=9, delay_s=0, remove_from_dns=True
    )
    world.ask(how, "limits")
    world.settle()


def move(world: World) -> None:
    shop(world)
    world.ask(MigrateContainer(container="node1"), "move")
    world.settle()


def move_too_slow(world: World) -> None:
    shop(world)
    world.ask(MigrateContainer(container="node3", deadline_s=1), "move")
    world.settle()


def move_and_grow(world: World) -> None:
    """Grow while the target has no room for more: the move is called off, the growth is kept."""
    shop(world)
    wide = LayerSpec(name="wide", reserved=13)
    world.ask(CreateEnvironment(environment="full", layers=(wide,)), "full")
    world.settle()
    world.ask(MigrateContainer(container="node1", target="h04"), "move")
    world.pass_(300)
    world.ask(ScaleNode(container="node1", reserved=6), "grow")
    world.settle()


def make_room(world: World) -> None:
    """Grow on a full host: two others go, one of them after its first try has failed."""
    tight(world)
    world.machines.faults.append(("node3", MigrateOut))
    world.ask(ScaleNode(container="node1", reserved=12), "grow")
    world.settle()


def move_to_grow(world: World) -> None:
    """Grow where the container itself is the cheapest to move."""
    tight(world, first=2, others=(4, 6))
    world.ask(ScaleNode(container="node1", reserved=6), "grow")
    world.settle()


def use_makes_room(world: World) -> None:
    """Use more than the host has; one growth is given up, of the next one a move fails."""
    tight(world)
    world.ask(SetCloudletLimits(environment="shop", layer="app", limit=12), "limit")
    world.settle()
    hungry = FollowUsage(container=ContainerId("node1"), cloudlets=12, make_room=True)
    world.ask(hungry, "uses 12")
    world.ask(FollowUsage(container=ContainerId("node1"), cloudlets=8), "uses 8")
    world.settle()
    world.machines.faults.append(("node3", MigrateOut))
    world.ask(hungry, "uses 12 again")
    world.settle()


def make_room_for_a_layer(world: World) -> None:
    """Let the step of an operation wait for room, and give the next growth up."""
    tight(world)
    how = SetCloudletLimits(environment="shop", layer="app", reserved=9, remove_from_dns=False)
    world.ask(how, "limits")
    world.settle()
    world.ask(ScaleNode(container="node1", reserved=12), "more")
    world.ask(CancelGrowth(growth="gr2"), "cancel")
    world.settle()


def tight(world: World, first: int = 8, others: tuple[int, int] = (2, 2)) -> None:
    """Fill a host of twelve with three containers, and add empty hosts."""
    for name, cloudlets in (("h01", 12), ("h02", 6), ("h03", 4)):
        world.ask(host(name, cloudlets=cloudlets), name)
        if name == "h01":
            sizes = (("shop", first), ("blog", others[0]), ("wiki", others[1]))
            for environment, reserved in sizes:
                app = LayerSpec(name="app", reserved=reserved)
                world.ask(CreateEnvironment(environment=environment, layers=(app,)), environment)
    world.settle()


def remove_everything(world: World) -> None:
    shop(world)
    world.ask(RemoveEnvironment(environment="shop"), "remove")
    world.settle()


def redeploy_with_surge(world: World) -> None:
    shop(world, count=1)
    how = RedeployLayer(environment="shop", layer="app", image="restow/counter:2", surge=True)
    world.ask(how, "redeploy")
    world.settle()


def redeploy_and_back(world: World) -> None:
    """Redeploy; the last one fails, so all go back to the old image."""
    shop(world)
    world.machines.faults.append(("node3", Redeploy))
    how = RedeployLayer(
        environment="shop",
        layer="app",
        image="restow/counter:2",
        delay_s=1,
        on_failure="rollback",
    )
    world.ask(how, "redeploy")
    world.settle()


def redeploy_and_lost(world: World) -> None:
    """Redeploy; one is down after its host failed, and is started again as it was."""
    shop(world, count=2)
    world.machines.faults.append(("node2", Redeploy))
    world.machines.fatal.add("node2")
    how = RedeployLayer(environment="shop", layer="app", image="restow/counter:2", delay_s=1)
    world.ask(how, "redeploy")
    world.settle()


def deploy_one_by_one(world: World) -> None:
    shop(world)
    how = DeployApplication(
        environment="shop",
        layer="app",
        vcs="https://git.example.org/shop.git",
        ref="v1",
        delay_s=1,
    )
    world.ask(how, "deploy")
    world.settle()


def stop_and_start(world: World) -> None:
    """Stop two layers together; start one after the other."""
    shop(world)
    sql = LayerSpec(name="sql", count=2)
    world.ask(AddLayer(environment="shop", layer=sql), "sql")
    world.settle()
    world.ask(StopEnvironment(environment="shop"), "stop")
    world.settle()
    world.ask(ScaleLayer(environment="shop", layer="sql", by=1), "added")
    world.ask(StartEnvironment(environment="shop"), "start")
    world.settle()


def start_in_part(world: World) -> None:
    """Stop two layers; start them, and cancel the second before its turn comes."""
    shop(world)
    world.ask(AddLayer(environment="shop", layer=LayerSpec(name="sql", count=2)), "sql")
    world.settle()
    world.ask(StopEnvironment(environment="shop"), "stop")
    world.settle()
    world.ask(StartEnvironment(environment="shop"), "start")
    world.ask(CancelOperation(operation="op6"), "cancel")
    world.settle()


def put_back_into_dns(world: World) -> None:
    """Restart; the router cannot put node2 back, and its environment is asked to start."""
    shop(world)
    world.machines.faults.append((ContainerId("node2"), RouteIn))
    how = RestartLayer(environment="shop", layer="app", delay_s=0, on_failure="continue")
    world.ask(how, "restart")
    world.settle()
    world.ask(StartEnvironment(environment="shop"), "start")
    world.settle()


STORIES: tuple[Story, ...] = (
    restart_one_by_one,
    restart_all_at_once,
    restart_with_surge,
    scale_out_and_in,
    follow_usage_while_moving,
    limits_and_back,
    limits_without_dns,
    move,
    move_too_slow,
    move_and_grow,
    make_room,
    use_makes_room,
    move_to_grow,
    make_room_for_a_layer,
    remove_everything,
    redeploy_with_surge,
    redeploy_and_back,
    redeploy_and_lost,
    deploy_one_by_one,
    stop_and_start,
    start_in_part,
    put_back_into_dns,
)


@cache
def undisturbed(story: Story, nature: Nature = CALM) -> World:
    world = World(1, nature)
    story(world)
    world.check_end()
    nothing_is_stuck(world)
    return world


def outcome(world: World) -> object:
    """Return how a story ended, whatever the moments and numbers at which things happened."""
    fleet = world.fleet
    return (
        {name: replace(one, dns_order=0) for name, one in fleet.containers.items()},
        fleet.hosts,
        fleet.layers,
        fleet.environments,
        {one.id: (one.outcome, steps(one)) for one in fleet.operations.values()},
        {one.id: (one.state, one.target, one.detail) for one in fleet.migrations.values()},
        {one.id: (one.state, one.moves, one.detail) for one in fleet.growths.values()},
        world.started,
        world.truth,
        world.machines.records,
    )


def steps(operation: Operation) -> list[Finished]:
    """Return the steps that are over; of those that went side by side, none was first."""
    if operation.settings.sequential:
        return list(operation.over)
    return sorted(operation.over, key=lambda step: step.planned.container)


def each(stories: tuple[Story, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("story", stories, ids=[story.__name__ for story in stories])


class TestTheStories:
    """They must be what they say, or the crashes below prove nothing."""

    @each((restart_one_by_one, restart_all_at_once))
    def test_every_container_restarts_once(self, story: Story) -> None:
        world = undisturbed(story)

        assert world.started == {ContainerId(f"node{n}"): 2 for n in (1, 2, 3)}
        assert [one.restarts for one in world.fleet.containers.values()] == [1, 1, 1]

    def test_what_was_left_out_of_dns_is_put_back_without_a_start(self) -> None:
        world = undisturbed(put_back_into_dns)

        assert world.started == {ContainerId(f"node{n}"): 2 for n in (1, 2, 3)}
        assert all(one.operable for one in world.fleet.containers.values())

    def test_a_surge_container_comes_and_goes(self) -> None:
        world = undisturbed(restart_with_surge)

        assert world.started == {"node1": 2, "node2": 1}
        assert list(world.fleet.containers) == ["node1"]

    def test_scaled_out_and_in(self) -> None:
        world = undisturbed(scale_out_and_in)

        assert len(world.started) == 5
        assert len(world.fleet.containers) == 2
        assert "node1" in world.fleet.containers

    def test_limits_were_rolled_back(self) -> None:
        world = undisturbed(limits_and_back)

        (operation,) = [one for one in world.fleet.operations.values() if one.kind == "limits"]
        assert operation.outcome == "rolled_back"
        limits = {str(one.id): (one.reserved, one.limit) for one in world.fleet.containers.values()}
        assert limits["node1"] == limits["node2"] == (2, 8)
        assert limits["node3"] == (10, 10)

    def test_limits_were_set(self) -> None:
        world = undisturbed(limits_without_dns)

        assert {(c.reserved, c.limit) for c in world.fleet.containers.values()} == {(4, 9)}

    def test_moved(self) -> None:
        world = undisturbed(move)

        assert [one.state.value for one in world.fleet.migrations.values()] == ["completed"]
        assert world.started[ContainerId("node1")] == 1

    def test_reverted(self) -> None:
        world = undisturbed(move_too_slow)

        assert [one.state.value for one in world.fleet.migrations.values()] == ["reverted"]

    def test_called_off_and_grown(self) -> None:
        world = undisturbed(move_and_grow)

        assert [one.state.value for one in world.fleet.migrations.values()] == ["reverted"]
        assert world.fleet.containers[ContainerId("node1")].allocated == 6
        assert any("MigrationOverdue" in line for line in world.trace)

    def test_redeployed(self) -> None:
        world = undisturbed(redeploy_with_surge)

        assert world.started == {"node1": 2, "node2": 1}
        assert [one.software for one in world.fleet.containers.values()] == [
            Software("restow/counter:2")
        ]

    def test_redeployed_and_rolled_back(self) -> None:
        world = undisturbed(redeploy_and_back)

        (operation,) = [one for one in world.fleet.operations.values() if one.kind == "redeploy"]
        assert operation.outcome == "rolled_back"
        assert world.started == {"node1": 3, "node2": 3, "node3": 1}
        old = Software("restow/counter:1")
        assert {one.software for one in world.fleet.containers.values()} == {old}

    def test_deployed(self) -> None:
        world = undisturbed(deploy_one_by_one)

        application = Application(vcs="https://git.example.org/shop.git", ref="v1")
        run = {one.software for one in world.fleet.containers.values()}
        assert run == {Software("restow/counter:1", application)}

    def test_redeployed_and_lost(self) -> None:
        world = undisturbed(redeploy_and_lost)

        (operation,) = [one for one in world.fleet.operations.values() if one.kind == "redeploy"]
        assert operation.outcome == "failed"
        assert all(one.operable for one in world.fleet.containers.values())

    def test_started_in_part(self) -> None:
        world = undisturbed(start_in_part)

        ran = [(one.layer, one.operable) for one in world.fleet.containers.values()]
        assert ran == [("app", True)] * 3 + [("sql", False)] * 2

    def test_stopped_and_started(self) -> None:
        world = undisturbed(stop_and_start)

        assert all(one.operable for one in world.fleet.containers.values())
        assert sorted(world.started.values()) == [1, 2, 2, 2, 2, 2]

    def test_room_was_made(self) -> None:
        world = undisturbed(make_room)

        (growth,) = world.fleet.growths.values()
        assert (growth.state.value, growth.plans) == ("done", 2)
        assert world.fleet.containers[ContainerId("node1")].applied == 12

    def test_what_was_used_made_room(self) -> None:
        world = undisturbed(use_makes_room)

        states = [one.state.value for one in world.fleet.growths.values()]
        assert states == ["abandoned", "done"]
        one = world.fleet.containers[ContainerId("node1")]
        assert (one.reserved, one.applied, one.host) == (8, 12, "h01")

    def test_moved_to_grow(self) -> None:
        world = undisturbed(move_to_grow)

        (growth,) = world.fleet.growths.values()
        assert (growth.state.value, growth.way) == ("done", "move")

    def test_a_step_was_given_room_and_the_next_growth_up(self) -> None:
        world = undisturbed(make_room_for_a_layer)

        states = [one.state.value for one in world.fleet.growths.values()]
        assert states == ["done", "abandoned"]
        assert world.fleet.containers[ContainerId("node1")].applied == 9

    def test_removed(self) -> None:
        world = undisturbed(remove_everything)

        assert not world.fleet.environments
        assert not world.truth


@each(STORIES)
class TestCrashes:
    def test_killed_after_any_frame_it_ends_the_same(self, story: Story) -> None:
        whole = undisturbed(story)

        for world, crash in killed_anywhere(story, whole):
            assert world.journal == whole.journal, world.story(crash)
            assert world.started == whole.started

    def test_killed_before_any_frame_is_stored_it_ends_the_same(self, story: Story) -> None:
        whole = undisturbed(story)

        for world, crash in lost_anywhere(story, whole):
            assert world.journal == whole.journal, world.story(crash)
            assert world.started == whole.started

    def test_killed_after_every_frame_it_ends_the_same(self, story: Story) -> None:
        whole = undisturbed(story)

        world = World(1, kills=range(10_000))
        story(world)

        assert world.journal == whole.journal

    def test_with_lost_and_repeated_messages_it_ends_the_same(self, story: Story) -> None:
        calm = undisturbed(story)

        for seed in range(5):
            world = World(seed, ECHO)
            story(world)
            world.check_end()
            assert world.started == calm.started, world.story()

    def test_killed_after_any_frame_amid_repeated_messages(self, story: Story) -> None:
        whole = undisturbed(story, ECHO)

        for world, crash in killed_amid_echoes(story, whole):
            assert outcome(world) == outcome(whole), world.story(crash)

    def test_a_report_that_comes_long_after_its_answer_was_forgotten_changes_nothing(
        self, story: Story
    ) -> None:
        world = World(1)
        story(world)
        before = outcome(world)

        for number, report in enumerate(list(world.machines.answered.values())):
            commit = world.put(Ask(AskId(f"again-{number}"), report))
            assert isinstance(commit.answer, Unchanged)
            assert not commit.events

        assert outcome(world) == before
