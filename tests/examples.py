"""A small fleet and a shop on it: what tests begin with, so that they name only what matters.

`given(hosts(3), shop(app=2)).when(command)` lets everything before settle, asks the command, checks
that a dry run says the same and leaves no trace, and returns the commit.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from domain.container import Container
from domain.decider import Ask, Commit
from domain.environment import CreateEnvironment, LayerSpec
from domain.facts import Fact
from domain.fleet import Fleet
from domain.host import RegisterHost
from domain.messages import (
    Accepted,
    AskId,
    Code,
    Command,
    ContainerId,
    EnvironmentId,
    Event,
    LayerName,
    PublicCommand,
    Refusal,
    Unchanged,
)
from domain.operation import Operation
from domain.orders import Work
from restow.simulation.world import Nature, World, state_of

E = TypeVar("E", bound=Event)


def host(name: str, zone: str = "a", cloudlets: int = 32, disk_gib: int = 500) -> RegisterHost:
    return RegisterHost(
        host=name,
        memory_mib=cloudlets * 128,
        cpu_mhz=cloudlets * 400,
        disk_gib=disk_gib,
        labels={"zone": zone},
    )


def hosts(count: int, zones: int = 3, cloudlets: int = 32) -> list[Command]:
    """Register hosts h1, h2 … in zones a, b, c …, in turn."""
    numbers = range(1, count + 1)
    return [host(f"h{n}", "abcdefghij"[(n - 1) % zones], cloudlets) for n in numbers]


def shop(app: int = 2, **more: Any) -> CreateEnvironment:
    """Create the environment `shop` with `app` containers of the layer `app`."""
    return CreateEnvironment(environment="shop", layers=(LayerSpec(name="app", count=app, **more),))


def layer(name: str = "app", **more: Any) -> LayerSpec:
    return LayerSpec(name=name, **more)


class Scene:
    """A world in which something has been asked, and something is to be asked now."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def fleet(self) -> Fleet:
        return self.world.fleet

    def ask(self, command: Command, **more: Any) -> Commit[Fact]:
        """Ask, and let nothing settle yet."""
        return self.world.ask(command, None, **more)

    def settle(self) -> "Scene":
        self.world.settle()
        return self

    def pass_(self, delay_ms: int) -> "Scene":
        self.world.pass_(delay_ms)
        return self

    def when(self, command: PublicCommand, **more: object) -> Commit[Fact]:
        """Ask, having looked at what a dry run says: the same, and nothing of it stays."""
        region = self.world.region
        before = state_of(region)
        answer, plan = region.plan(Ask(AskId("plan"), command, **more), self.world.now)  # type: ignore[arg-type]
        assert state_of(region) == before
        commit = self.ask(command, **more)
        assert (answer, list(plan.facts) if plan else []) == (commit.answer, facts(commit))
        return commit

    def fail(self, container: str, work: type[Work], times: int = 1) -> "Scene":
        """Let the next orders of this kind fail for a container."""
        self.world.machines.faults.extend([(container, work)] * times)
        return self

    def container(self, name: str) -> Container:
        return self.fleet.containers[ContainerId(name)]

    def operation(self, number: int) -> Operation:
        """Return an operation by its number; 1 is usually the one that started the shop."""
        return next(one for one in self.fleet.operations.values() if one.id == f"op{number}")

    def names(self, name: str = "app") -> tuple[str, ...]:
        """Return the containers of a layer of the shop."""
        return self.fleet.layers[EnvironmentId("shop"), LayerName(name)].containers

    def happened(self, kind: type[E]) -> list[E]:
        """Return all events of one kind that ever happened here."""
        return [fact for _, fact in self.world.happened() if isinstance(fact, kind)]


def given(
    *asked: Command | Iterable[Command], seed: int = 0, nature: Nature | None = None
) -> Scene:
    """Ask all this in a new world, and let it settle."""
    world = World(seed, nature)
    for one in asked:
        for command in [one] if isinstance(one, Command) else one:
            commit = world.ask(command)
            assert not isinstance(commit.answer, Refusal), commit.answer
        world.settle()
    return Scene(world)


def facts(commit: Commit[Fact]) -> list[Event]:
    """Return what was written, in order."""
    return [event.fact for event in commit.events]


def kinds(commit: Commit[Fact]) -> list[str]:
    """Return the names of what was written, in order."""
    return [type(event.fact).__name__ for event in commit.events]


def one(commit: Commit[Fact], kind: type[E]) -> E:
    """Return the only event of this kind."""
    (found,) = [fact for fact in facts(commit) if isinstance(fact, kind)]
    return found


def accepted(commit: Commit[Fact]) -> Accepted:
    assert isinstance(commit.answer, Accepted), commit.answer
    return commit.answer


def done(commit: Commit[Fact]) -> bool:
    """Say whether a commit says yes."""
    return isinstance(commit.answer, Accepted)


def refused(commit: Commit[Fact]) -> Refusal:
    """Return the refusal, which must have changed nothing."""
    assert isinstance(commit.answer, Refusal), commit.answer
    assert not commit.events
    return commit.answer


def code(commit: Commit[Fact]) -> Code:
    return refused(commit).code


def unchanged(commit: Commit[Fact]) -> bool:
    """Say whether a commit says that it is so already, and wrote nothing."""
    return isinstance(commit.answer, Unchanged) and not commit.events
