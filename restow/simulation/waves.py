"""Usage in a simulated world: it rises and falls, hosts tell of it, and triggers follow.

Hosts tell of what really runs on them. What the engine makes of it is the product's own
(`handlers/engine/gauges.py`), and is lost whenever an engine begins anew.
"""

from collections.abc import Iterator, Mapping
from random import Random

from domain.agent import Sample, Usage
from domain.decider import Ask
from domain.environment import Layer, LayerKey
from domain.messages import MEMORY_OF_A_CLOUDLET_MIB, AskId, Command, EnvironmentId, LayerName
from domain.trigger import DisableTrigger, EnableTrigger, RemoveTrigger, SetTrigger
from restow.simulation.world import World

ROUND_MS = 5_000
"""How often hosts tell what their containers use."""
ENVIRONMENT = "shop"
LAYERS = ("app", "sql")
REST_ROUNDS = 300
"""Rounds of a steady load within which every trigger must have come to rest."""
CALM_ROUNDS = 80


def watched(world: World) -> bool:
    """Say whether triggers play a part in this world; most are left as they were without."""
    return world.dice("triggers").random() < 0.3


def set_trigger(world: World, dice: Random) -> Command:
    """Return a rule that somebody may set; often one that fits the layer as it is."""
    layer = dice.choice(LAYERS)
    there = world.fleet.layers.get((EnvironmentId(ENVIRONMENT), LayerName(layer)))
    count = len(there.containers) if there else 1
    above = dice.choice([None, 60, 70, 80])
    below = dice.choice([None, 30, 40, 50]) if above else dice.choice([20, 30])
    return SetTrigger(
        environment=ENVIRONMENT,
        layer=layer,
        resource=dice.choice(["memory", "memory", "cpu"]),
        add_above=above,
        remove_below=below,
        add=dice.choice([1, 1, 2]),
        remove=dice.choice([1, 1, 2]),
        min_count=max(1, count - dice.randint(0, 2)),
        max_count=count + dice.randint(0, 3),
        window_s=dice.choice([5, 10, 30]),
        cooldown_s=dice.choice([0, 20, 60]),
        enabled=dice.choice([None, None, True, False]),
    )


def some_trigger(world: World, dice: Random) -> str:
    return dice.choice(sorted(world.fleet.triggers) or ["tr1"])


def about_triggers(world: World, dice: Random) -> Command:
    """Return something that people may ask of triggers."""
    if dice.random() < 0.6:
        return set_trigger(world, dice)
    shape = dice.choice([EnableTrigger, DisableTrigger, RemoveTrigger])
    return shape(trigger=some_trigger(world, dice))


def wave(world: World, dice: Random) -> None:
    """Let the load of each layer be something for a while, and hosts tell of it."""
    loads = {layer: dice.choice([0, 1, 3, 8, 20, 40]) for layer in LAYERS}
    for _ in range(dice.randint(2, 25)):
        world.pass_(ROUND_MS)
        tell(world, loads, dice)


def tell(world: World, loads: Mapping[str, float], dice: Random) -> None:
    """Let every host tell what its containers use, all of the load evenly; some are not heard."""
    told: dict[str, list[Sample]] = {}
    for layer in list(world.fleet.layers.values()):
        for sample in samples(world, layer, loads.get(layer.name, 0)):
            told.setdefault(world.truth[sample.container], []).append(sample)
    for host in sorted(world.fleet.hosts):
        if host in told and dice.random() >= world.nature.loss:
            hear(world, Usage(host, world.now, tuple(told[host])))


def samples(world: World, layer: Layer, load: float) -> Iterator[Sample]:
    """Give what each running container of a layer uses, of a load in cloudlets."""
    running = [name for name in layer.containers if name in world.truth]
    for name in running:
        used = min(load / len(running), world.fleet.containers[name].limit)
        yield Sample(name, int(used * 400), int(used * MEMORY_OF_A_CLOUDLET_MIB), 0, 0)


def hear(world: World, usage: Usage) -> None:
    """Ask for what is to be fired because of it, as the engine does."""
    for firing in world.gauges.hear(usage, world.now):
        name = AskId(f"trigger {firing.trigger} {world.now}")
        world.put(Ask(name, firing, actor=f"trigger:{firing.trigger}"))


def come_to_rest(world: World) -> None:
    """Let the load stay as it is: triggers fire, and must stop firing. Then check what they kept.

    Those that come to nothing again and again are tried again later and later, so they stop too.
    """
    dice = world.dice("the last load")
    loads = {layer: dice.uniform(0, 20) for layer in LAYERS}
    quiet = 0
    for _ in range(REST_ROUNDS):
        before = fired(world)
        world.pass_(ROUND_MS)
        tell(world, loads, dice)
        quiet = quiet + 1 if fired(world) == before else 0
        if quiet == CALM_ROUNDS:
            break
    else:
        world.violate(f"after {REST_ROUNDS} rounds of a steady load triggers still fire")
    world.settle()


def fired(world: World) -> dict[LayerKey, int]:
    """Return how many containers each layer has, and how many operations there were."""
    counts = {key: len(layer.containers) for key, layer in world.fleet.layers.items()}
    operations = world.fleet.counters.get("operation", 0)
    return counts | {(EnvironmentId(""), LayerName("")): operations}
