"""What is remembered of usage for triggers, and when a firing is asked for because of it."""

from msgspec.structs import replace

from domain.agent import Sample, Usage
from domain.environment import RemoveEnvironment
from domain.messages import ContainerId, HostId, Instant
from domain.trigger import DisableTrigger, FireTrigger, SetTrigger
from handlers.engine.gauges import Gauges
from restow.simulation.world import START
from tests.examples import Scene, given, hosts, shop

RULE = SetTrigger(
    environment="shop",
    layer="app",
    resource="memory",
    add_above=70,
    remove_below=30,
    max_count=4,
    window_s=10,
)


def watched() -> Scene:
    return given(hosts(3), shop(2, reserved=1, limit=8), RULE)


def says(scene: Scene, percent: float, name: str = "node1", host: str | None = None) -> Usage:
    """Return what the host of a container says of it."""
    home = scene.container(name).host if host is None else HostId(host)
    used = Sample(ContainerId(name), 0, int(percent / 100 * 8 * 128), 0, 0)
    return Usage(home, START, (used,))


def hear(scene: Scene, gauges: Gauges, percent: float, seconds: float) -> tuple[FireTrigger, ...]:
    """Let both hosts say that their containers use so much, one after the other."""
    at = Instant(scene.world.now + int(seconds * 1_000))
    first = gauges.hear(says(scene, percent, "node1"), at)
    return (*first, *gauges.hear(says(scene, percent, "node2"), Instant(at + 1_000)))


def test_a_firing_is_asked_for_when_usage_was_above_for_the_window():
    scene = watched()
    gauges = Gauges(scene.fleet)

    said = [hear(scene, gauges, 90, second) for second in (0, 5, 10)]

    assert [bool(one) for one in said] == [False, False, True]
    (fired,) = said[-1]
    assert (fired.trigger, fired.count, fired.wanted, fired.usage) == ("tr1", 2, 3, 90)


def test_what_was_seen_is_lost_with_its_memory_and_the_window_begins_anew():
    scene = watched()
    before = Gauges(scene.fleet)
    for second in (0, 5):
        hear(scene, before, 90, second)

    after = Gauges(scene.fleet)

    said = [bool(hear(scene, after, 90, second)) for second in (10, 15, 20)]
    assert said == [False, False, True]


def test_a_host_that_says_nothing_any_more_is_not_believed():
    scene = watched()
    gauges = Gauges(scene.fleet)
    hear(scene, gauges, 90, 0)

    said = [
        gauges.hear(says(scene, 100), Instant(scene.world.now + second * 1_000))
        for second in range(20, 60, 5)
    ]

    assert not any(said)


def test_a_layer_is_looked_at_once_a_second():
    scene = watched()
    gauges = Gauges(scene.fleet)
    for second in (0, 5):
        hear(scene, gauges, 90, second)

    at = Instant(scene.world.now + 14_000)
    both = [gauges.hear(says(scene, 90, name), at) for name in ("node1", "node2", "node1")]

    assert [len(one) for one in both] == [1, 0, 0]


def test_nothing_is_heard_of_strangers_and_of_layers_without_a_trigger_that_is_on():
    scene = watched()
    gauges = Gauges(scene.fleet)
    scene.ask(DisableTrigger(trigger="tr1"))

    assert not any(hear(scene, gauges, 100, second) for second in range(0, 60, 5))
    assert gauges.hear(says(scene, 100, host="h9"), START) == ()
    alien = replace(says(scene, 100), containers=(Sample(ContainerId("node9"), 0, 0, 0, 0),))
    assert gauges.hear(alien, START) == ()


def test_in_a_calm_nothing_is_asked_for():
    scene = watched()
    gauges = Gauges(scene.fleet)

    assert not any(hear(scene, gauges, 50, second) for second in range(0, 60, 5))


def test_of_a_layer_that_is_no_more_nothing_is_remembered():
    scene = watched()
    gauges = Gauges(scene.fleet)
    hear(scene, gauges, 50, 0)
    scene.ask(RemoveEnvironment(environment="shop"))
    scene.settle()
    scene.ask(replace(shop(2, reserved=1, limit=8), environment="blog"))
    scene.ask(replace(RULE, environment="blog"))
    scene.settle()

    gauges.hear(says(scene, 50, "node3"), Instant(scene.world.now + 60_000))

    assert len(scene.fleet.layers) == len(gauges) == 1
