"""Triggers through crashes: what was fired is carried on; what was seen is lost, no more."""

import pytest
from msgspec.structs import replace

from domain.environment import RemoveLayer
from domain.messages import EnvironmentId, Instant, LayerName, TriggerId
from domain.operation import CancelOperation, RestartLayer
from domain.trigger import (
    DisableTrigger,
    EnableTrigger,
    FireTrigger,
    RemoveTrigger,
    SetTrigger,
    TriggerFired,
    TriggerRefused,
    TriggerSettled,
)
from restow.simulation.ending import check_end
from restow.simulation.machines import Nature
from restow.simulation.waves import ROUND_MS, come_to_rest, tell
from restow.simulation.world import START, World
from tests.simulation.crashing import (
    CALM,
    ECHO,
    Story,
    killed_amid_echoes,
    killed_anywhere,
    lost_anywhere,
)
from tests.simulation.test_crashes import shop

WINDOW_S = 10
RULE = SetTrigger(
    environment="shop",
    layer="app",
    resource="memory",
    add_above=70,
    remove_below=30,
    min_count=2,
    max_count=5,
    window_s=WINDOW_S,
    cooldown_s=20,
)


def fire(count: int, wanted: int, since: Instant = START) -> FireTrigger:
    return FireTrigger(
        trigger=TriggerId("tr1"), count=count, wanted=wanted, usage=80, since=since, why="usage"
    )


def more_then_fewer(world: World) -> None:
    shop(world)
    world.ask(RULE, "set")
    world.ask(fire(3, 5), "more")
    world.settle()
    world.pass_(20_000)
    world.ask(fire(5, 3, world.now), "fewer")
    world.settle()


def refused_and_again(world: World) -> None:
    shop(world)
    world.ask(RULE, "set")
    world.ask(RestartLayer(environment="shop", layer="app", delay_s=0), "restart")
    world.ask(fire(3, 4), "behind it")
    world.settle()
    world.pass_(30_000)
    world.ask(fire(3, 4), "again")
    world.settle()


def switched_off_and_changed_meanwhile(world: World) -> None:
    shop(world)
    world.ask(RULE, "set")
    world.ask(fire(3, 4), "more")
    world.ask(DisableTrigger(trigger="tr1"), "off")
    world.ask(replace(RULE, max_count=6), "change")
    world.ask(EnableTrigger(trigger="tr1"), "on")
    world.settle()


def removed_meanwhile(world: World) -> None:
    shop(world)
    world.ask(RULE, "set")
    world.ask(fire(3, 4), "more")
    world.ask(RemoveTrigger(trigger="tr1"), "remove")
    world.settle()


def cancelled(world: World) -> None:
    shop(world)
    world.ask(RULE, "set")
    world.ask(fire(3, 2), "fewer")
    world.ask(CancelOperation(operation="op2"), "cancel")
    world.settle()


def the_layer_goes(world: World) -> None:
    shop(world)
    world.ask(RULE, "set")
    world.ask(fire(3, 4), "more")
    world.ask(RemoveLayer(environment="shop", layer="app"), "go")
    world.settle()


STORIES: tuple[Story, ...] = (
    more_then_fewer,
    refused_and_again,
    switched_off_and_changed_meanwhile,
    removed_meanwhile,
    cancelled,
    the_layer_goes,
)
each = pytest.mark.parametrize("story", STORIES, ids=[story.__name__ for story in STORIES])


def told(story: Story, nature: Nature = CALM) -> World:
    world = World(1, nature)
    story(world)
    check_end(world)
    return world


@each
def test_killed_after_any_frame_it_ends_the_same(story: Story) -> None:
    whole = told(story)

    for world, crash in killed_anywhere(story, whole):
        assert world.journal == whole.journal, world.story(crash)


@each
def test_killed_before_any_frame_is_stored_it_ends_the_same(story: Story) -> None:
    whole = told(story)

    for world, crash in lost_anywhere(story, whole):
        assert world.journal == whole.journal, world.story(crash)


@each
def test_killed_amid_repeated_and_lost_messages_it_ends_the_same(story: Story) -> None:
    whole = told(story, ECHO)

    for world, crash in killed_amid_echoes(story, whole):
        check_end(world)
        assert summary(world) == summary(whole), world.story(crash)


def summary(world: World) -> object:
    """Return what triggers did, and what is left of the layer."""
    layer = world.fleet.layers.get((EnvironmentId("shop"), LayerName("app")))
    fired = [(f.count, f.wanted) for _, f in world.happened() if isinstance(f, TriggerFired)]
    ended = [f.outcome for _, f in world.happened() if isinstance(f, TriggerSettled)]
    refused = [f.code for _, f in world.happened() if isinstance(f, TriggerRefused)]
    return fired, ended, refused, len(layer.containers) if layer else 0


def loaded(world: World, cloudlets: float, rounds: int) -> None:
    """Let the layer be used as much for a while, and its hosts tell of it."""
    for _ in range(rounds):
        world.pass_(ROUND_MS)
        tell(world, {"app": cloudlets}, world.dice(f"tell {world.now}"))


def follow_a_wave(world: World) -> None:
    """Let usage rise and fall: 3 containers of up to 8 cloudlets become 4, and 3 again."""
    shop(world)
    world.ask(RULE, "set")
    loaded(world, 20, 12)
    loaded(world, 8, 12)
    world.settle()


def first_fired(world: World) -> Instant:
    return next(at for at, fact in world.happened() if isinstance(fact, TriggerFired))


def test_triggers_follow_a_wave_up_and_down() -> None:
    world = told(follow_a_wave)

    assert summary(world) == ([(3, 4), (4, 3)], ["done", "done"], [], 3)


@pytest.mark.timeout(240)
def test_a_crash_or_a_takeover_loses_no_more_than_a_window() -> None:
    whole = told(follow_a_wave)

    for frame in range(0, len(whole.journal), 2):
        world = World(1, kills=[frame])
        follow_a_wave(world)
        check_end(world)
        assert summary(world) == summary(whole), world.story(f"killed after frame {frame}")
        late = first_fired(world) - first_fired(whole)
        assert 0 <= late <= WINDOW_S * 1_000 + ROUND_MS


def test_under_a_steady_load_they_come_to_rest_though_much_goes_wrong(seed: int) -> None:
    world = World(seed, Nature(failure=0.2, repeat=0.3, kill=0.01, loss=0.1, forget=0.01))
    shop(world)
    world.ask(RULE, "set")
    come_to_rest(world)

    check_end(world)
