"""What really happens in a region: frames of a seeded world with operations and migrations."""

from functools import cache
from random import Random

from domain.decider import Commit, Frame
from domain.environment import CreateEnvironment, LayerSpec, RemoveLayer
from domain.evacuation import EvacuateHost
from domain.facts import Fact
from domain.messages import EnvironmentId, LayerName, TriggerId
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleLayer, ScaleNode
from domain.rebalance import RebalanceRegion
from domain.tenant import LimitTenant
from domain.trigger import FireTrigger, SetTrigger
from domain.triggers import AGAIN_MS
from domain.wire import decode_frame
from restow.simulation.world import Nature, World
from tests.domain.letters import poison

LOST_MS = 60_000
"""How long a host is dead: it is lost, what it carried is restarted elsewhere, and it returns."""


def about_a_trigger(world: World) -> None:
    """Set a trigger, which is refused once and fires once."""
    world.ask(SetTrigger(environment="shop", layer="app", resource="cpu", add_above=70))
    count = len(world.fleet.layers[EnvironmentId("shop"), LayerName("app")].containers)
    for wanted in (99, count + 1):
        world.ask(
            FireTrigger(
                trigger=TriggerId("tr1"),
                count=count,
                wanted=wanted,
                usage=80,
                since=world.now,
                why="usage",
            )
        )
        world.settle()
        world.pass_(AGAIN_MS)


@cache
def frames_of(seed: int, failure: float = 0.1) -> tuple[Frame[Fact], ...]:
    """Return the journal of a world in which much was asked, some refused, some failed."""
    world = World(seed, Nature(failure=failure))
    world.hosts(6)
    layers = (
        LayerSpec(name="app", count=3),
        LayerSpec(name="sql", count=2, anti_affinity="hard", reserved=2, limit=4),
    )
    world.ask(CreateEnvironment(environment="shop", layers=layers))
    world.ask(CreateEnvironment(environment="spare", layers=(LayerSpec(name="one"),)))
    world.settle()
    dice = Random(seed)
    asked = [
        RestartLayer(environment="shop", layer="app", delay_s=1),
        RestartLayer(environment="shop", layer="app", mode="simultaneous"),
        RestartLayer(environment="shop", layer="nowhere"),
        MigrateContainer(container="node1"),
        MigrateContainer(container="node99"),
        ScaleLayer(environment="shop", layer="app", count=5),
        ScaleLayer(environment="shop", layer="app", count=2),
        ScaleNode(container="node4", limit=8),
        RemoveLayer(environment="spare", layer="one"),
    ]
    dice.shuffle(asked)
    for command in asked:
        world.ask(command)
        world.pass_(dice.choice((0, 1_000, 20_000)))
    world.settle()
    world.ask(MigrateContainer(container="node2"))
    world.ask(ScaleNode(container="node2", reserved=40))
    world.settle()
    world.ask(LimitTenant(tenant="acme", rate=50))
    about_a_trigger(world)
    world.ask(poison("CMD/1"))
    world.ask(EvacuateHost(host="h06"))
    world.settle()
    even_out(world)
    world.outages.strike(min(world.truth.values()), LOST_MS, dead=True)
    world.settle()
    return tuple(decode_frame(data) for data in world.journal)


def even_out(world: World) -> None:
    """Bring two containers of a layer together, and let a rebalance part them."""
    world.ask(CreateEnvironment(environment="crowd", layers=(LayerSpec(name="app", count=2),)))
    world.settle()
    one, other = (c for c in world.fleet.containers.values() if c.environment == "crowd")
    world.ask(MigrateContainer(container=one.id, target=other.host))
    world.settle()
    world.ask(RebalanceRegion(environment="crowd"))
    world.settle()


def commits_of(frames: tuple[Frame[Fact], ...]) -> list[Commit[Fact]]:
    return [commit for frame in frames for commit in frame.commits]


def regrouped(commits: list[Commit[Fact]], sizes: list[int]) -> list[Frame[Fact]]:
    """Return the commits in frames of these sizes, again and again; 0 is an epoch frame."""
    frames: list[Frame[Fact]] = []
    position, epoch, done = 1, 1, 0
    while done < len(commits):
        for size in sizes:
            epoch += not size
            group = tuple(commits[done : done + size])
            frames.append(Frame(1, epoch, position, b"", group))
            position += sum(len(commit.events) for commit in group)
            done += size
    return frames
