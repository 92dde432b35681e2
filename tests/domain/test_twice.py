"""Every public command asked twice, through the engine's own desk: one answer, one commit.

Under the same id the answer is the recorded one, and another body is refused; under a new id the
command is decided anew, and what is so already stays as it is.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from domain.dead import DropDead, RetryDead
from domain.decider import Answered, Ask, Commit
from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import (
    AddLayer,
    ChangeLayer,
    CreateEnvironment,
    RemoveEnvironment,
    RemoveLayer,
    StartEnvironment,
    StopEnvironment,
)
from domain.evacuation import (
    EvacuateHost,
    PauseEvacuation,
    RestoreHost,
    ResumeEvacuation,
    StopEvacuation,
)
from domain.facts import Fact
from domain.growth import CancelGrowth
from domain.host import (
    CordonHost,
    RateHost,
    RegisterHost,
    RelabelHost,
    RemoveHost,
    UncordonHost,
)
from domain.loss import LoseHost, RecoverHost
from domain.messages import Accepted, AskId, Code, PublicCommand, Refusal, Unchanged
from domain.migration import MigrateContainer
from domain.operation import (
    CancelOperation,
    PauseOperation,
    RestartLayer,
    ResumeOperation,
    ScaleLayer,
    ScaleNode,
    SetCloudletLimits,
)
from domain.rebalance import PauseRebalance, RebalanceRegion, ResumeRebalance, StopRebalance
from domain.rebalancing import RebalanceCommand
from domain.tenant import LimitTenant, ResetTenant
from domain.trigger import DisableTrigger, EnableTrigger, RemoveTrigger, SetTrigger
from handlers.engine.desk import Desk
from tests.domain.letters import poison
from tests.domain.test_region import has_tag, subclasses
from tests.examples import Scene, given, host, hosts, layer, shop

DONE: list[PublicCommand] = [
    host("h9"),
    RelabelHost(host="h1", labels={"zone": "z"}),
    RateHost(host="h1", load_mark=5),
    CordonHost(host="h1"),
    UncordonHost(host="h3"),
    RemoveHost(host="h4"),
    LoseHost(host="h4", reason="it burnt"),
    RecoverHost(host="h8"),
    CreateEnvironment(environment="blog", layers=(layer(),)),
    RemoveEnvironment(environment="shop"),
    AddLayer(environment="shop", layer=layer("sql")),
    ChangeLayer(environment="shop", layer="app", policy="pack"),
    RemoveLayer(environment="shop", layer="app"),
    ScaleNode(container="node1", reserved=4),
    SetCloudletLimits(environment="shop", layer="app", reserved=3),
    ScaleLayer(environment="shop", layer="app", count=4),
    RestartLayer(environment="shop", layer="app"),
    RedeployLayer(environment="shop", layer="app", image="restow/counter:2"),
    DeployApplication(environment="shop", layer="app", vcs="https://git.example.org/shop.git"),
    StopEnvironment(environment="shop"),
    StartEnvironment(environment="still"),
    MigrateContainer(container="node2", target="h1"),
    CancelGrowth(growth="gr1"),
    LimitTenant(tenant="acme", rate=5),
    ResetTenant(tenant="bravo"),
    RetryDead(dead="dl1"),
    DropDead(dead="dl2", reason="a mistake"),
    PauseOperation(operation="op7"),
    ResumeOperation(operation="op8"),
    CancelOperation(operation="op7"),
    EvacuateHost(host="h1"),
    RestoreHost(host="h5"),
    PauseEvacuation(evacuation="ev2"),
    ResumeEvacuation(evacuation="ev3"),
    StopEvacuation(evacuation="ev2"),
    RebalanceRegion(environment="crowd"),
    PauseRebalance(rebalance="rb1"),
    ResumeRebalance(rebalance="rb1"),
    StopRebalance(rebalance="rb1"),
    SetTrigger(environment="shop", layer="app", resource="cpu", add_above=70),
    RemoveTrigger(trigger="tr1"),
    EnableTrigger(trigger="tr2"),
    DisableTrigger(trigger="tr1"),
]
"""One of each, all of which are done in the fleet below."""

UNDER_A_NEW_ID: dict[type[PublicCommand], type | Code] = {
    RegisterHost: Unchanged,
    RelabelHost: Unchanged,
    RateHost: Unchanged,
    CordonHost: Unchanged,
    UncordonHost: Unchanged,
    RemoveHost: Code.HOST_NOT_FOUND,
    LoseHost: Unchanged,
    RecoverHost: Unchanged,
    CreateEnvironment: Code.ENVIRONMENT_EXISTS,
    RemoveEnvironment: Unchanged,
    AddLayer: Code.LAYER_EXISTS,
    ChangeLayer: Unchanged,
    RemoveLayer: Unchanged,
    ScaleNode: Unchanged,
    SetCloudletLimits: Accepted,
    ScaleLayer: Unchanged,
    RestartLayer: Accepted,
    RedeployLayer: Accepted,
    DeployApplication: Accepted,
    StopEnvironment: Unchanged,
    StartEnvironment: Unchanged,
    MigrateContainer: Code.OPERATION_BUSY,
    CancelGrowth: Code.GROWTH_ENDED,
    PauseOperation: Unchanged,
    ResumeOperation: Unchanged,
    CancelOperation: Unchanged,
    LimitTenant: Unchanged,
    ResetTenant: Unchanged,
    SetTrigger: Unchanged,
    RemoveTrigger: Code.TRIGGER_NOT_FOUND,
    EnableTrigger: Unchanged,
    DisableTrigger: Unchanged,
    RetryDead: Unchanged,
    DropDead: Code.DEAD_NOT_FOUND,
    EvacuateHost: Unchanged,
    RestoreHost: Unchanged,
    PauseEvacuation: Unchanged,
    ResumeEvacuation: Unchanged,
    StopEvacuation: Unchanged,
    RebalanceRegion: Unchanged,
    PauseRebalance: Unchanged,
    ResumeRebalance: Unchanged,
    StopRebalance: Unchanged,
}
"""What is said when it is asked again at once, though not repeated: a second wish."""


def lost_host(scene: Scene) -> None:
    """Lose host h8, and with it a container that fits nowhere else."""
    scene.ask(host("h8", cloudlets=40))
    wide = layer(count=1, reserved=36)
    scene.ask(CreateEnvironment(environment="wide", layers=(wide,)))
    scene.settle()
    scene.world.outages.strike("h8", None, dead=True)
    scene.ask(LoseHost(host="h8", reason="it burnt"))
    scene.settle()


def two_triggers(scene: Scene) -> None:
    """Set two triggers, one of which is off."""
    rule = SetTrigger(environment="still", layer="app", resource="cpu", add_above=70)
    scene.ask(rule)
    scene.ask(msgspec.structs.replace(rule, resource="memory", enabled=False))


def fleet(command: PublicCommand) -> Scene:
    """Return a fleet in which a command of those above can be done."""
    scene = given(hosts(3), shop(2), CordonHost(host="h3"))
    lost_host(scene)
    scene.ask(host("h4"))
    scene.ask(CordonHost(host="h4"))
    for name in ("h5", "h6", "h7"):
        scene.ask(host(name))
        scene.ask(CreateEnvironment(environment=f"on-{name}", layers=(layer(),)))
        scene.settle()
        if name == "h5":
            scene.ask(EvacuateHost(host="h5"))
            scene.settle()
    scene.ask(UncordonHost(host="h5"))
    scene.ask(CreateEnvironment(environment="busy", layers=(layer(count=2),)))
    scene.settle()
    busy = {"environment": "busy", "layer": "app", "delay_s": 300}
    scene.ask(RestartLayer(**busy))  # type: ignore[arg-type]
    scene.ask(RestartLayer(**busy))  # type: ignore[arg-type]
    scene.ask(PauseOperation(operation="op8"))
    scene.ask(CreateEnvironment(environment="still", layers=(layer(),)))
    scene.ask(StopEnvironment(environment="still"))
    two_triggers(scene)
    scene.ask(LimitTenant(tenant="bravo", burst=7))
    scene.ask(poison("CMD/1"))
    scene.ask(poison("CMD/2"))
    scene.ask(EvacuateHost(host="h6"))
    scene.ask(EvacuateHost(host="h7"))
    scene.ask(PauseEvacuation(evacuation="ev3"))
    return furnished(scene, command)


def furnished(scene: Scene, command: PublicCommand) -> Scene:
    """Add to a fleet what only some commands want."""
    if isinstance(command, CancelGrowth):
        too_little_room(scene)
    if isinstance(command, RebalanceCommand):
        crowd(scene, command)
    return scene


def too_little_room(scene: Scene) -> None:
    """Let a container want more than there is while it moves."""
    scene.ask(MigrateContainer(container="node4"))
    scene.ask(ScaleNode(container="node4", reserved=40))


def crowd(scene: Scene, command: PublicCommand) -> None:
    """Bring the containers of a layer together; where it is to be held, begin to part them."""
    layers = (layer(count=3),)
    scene.ask(CreateEnvironment(environment="crowd", layers=layers))
    scene.settle()
    first, *others = (c for c in scene.fleet.containers.values() if c.environment == "crowd")
    for other in others:
        scene.ask(MigrateContainer(container=other.id, target=first.host))
        scene.settle()
    if not isinstance(command, RebalanceRegion):
        scene.ask(RebalanceRegion(environment="crowd", at_once=1))
    if isinstance(command, ResumeRebalance):
        scene.ask(PauseRebalance(rebalance="rb1"))


class Shelf:
    """A desk over a region, with a journal that is a list."""

    def __init__(self, scene: Scene) -> None:
        self.commits: list[Commit[Fact]] = []
        self.desk = Desk(scene.world.region, self._store, self._effects, lambda: scene.world.now)

    async def _store(self, commits: Sequence[Commit[Fact]]) -> None:
        await asyncio.sleep(0)
        self.commits.extend(commits)

    async def _effects(self, commits: Sequence[Commit[Fact]]) -> None:
        """Nothing is sent from here."""

    async def ask(self, *asks: Ask) -> list[Answered]:
        """Ask all this at once, and return what was answered."""
        async with self.deciding():
            return await asyncio.gather(*(self.desk.ask(ask) for ask in asks))

    @asynccontextmanager
    async def deciding(self) -> AsyncGenerator[None]:
        """Decide what is asked during the block."""
        running = asyncio.create_task(self.desk.run())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def name_of(command: PublicCommand) -> str:
    return type(command).__name__


def ask(command: PublicCommand, name: str = "first", fingerprint: bytes = b"f") -> Ask:
    return Ask(AskId(name), command, fingerprint=fingerprint)


async def twice(first: Ask, second: Ask) -> tuple[Answered, Answered, Shelf]:
    """Ask one after the other, the second by an engine that has both from its journal."""
    assert isinstance(first.command, PublicCommand)
    scene = fleet(first.command)
    shelf = Shelf(scene)
    (one,) = await shelf.ask(first)
    later = Shelf(scene)
    (other,) = await later.ask(second)
    return one, other, later


@pytest.mark.parametrize("command", DONE, ids=name_of)
class TestAskedTwice:
    async def test_done(self, command: PublicCommand) -> None:
        shelf = Shelf(fleet(command))

        (answered,) = await shelf.ask(ask(command))

        assert isinstance(answered.answer, Accepted), answered.answer
        assert len(shelf.commits) == 1

    async def test_under_the_same_id_it_has_the_recorded_answer(
        self, command: PublicCommand
    ) -> None:
        one, other, later = await twice(ask(command), ask(command))

        assert other == one
        assert later.commits == []

    async def test_under_the_same_id_at_once_it_has_the_one_answer(
        self, command: PublicCommand
    ) -> None:
        shelf = Shelf(fleet(command))

        answers = await shelf.ask(ask(command), ask(command), ask(command))

        assert answers == [answers[0]] * 3
        assert len(shelf.commits) == 1

    async def test_another_body_under_the_same_id_is_refused(self, command: PublicCommand) -> None:
        _, other, later = await twice(ask(command), ask(command, fingerprint=b"other"))

        assert isinstance(other.answer, Refusal)
        assert other.answer.code is Code.COMMAND_REUSED
        assert later.commits == []

    async def test_under_a_new_id_it_is_decided_anew(self, command: PublicCommand) -> None:
        _, other, later = await twice(ask(command), ask(command, "second"))

        expected = UNDER_A_NEW_ID[type(command)]
        said = other.answer.code if isinstance(other.answer, Refusal) else type(other.answer)
        assert said == expected
        assert len(later.commits) == 1


async def test_a_refusal_asked_again_is_the_same_refusal_though_it_could_be_done_now() -> None:
    shelf = Shelf(given(host("h1", cloudlets=2)))

    one, _, other, new = await shelf.ask(
        ask(shop(4)), ask(host("h2"), "room"), ask(shop(4)), ask(shop(4), "anew")
    )

    assert isinstance(one.answer, Refusal)
    assert other.answer == one.answer
    assert isinstance(new.answer, Accepted)


async def test_a_dry_run_is_not_an_answer() -> None:
    shelf = Shelf(given(hosts(2)))
    planned, done = await shelf.ask(
        msgspec.structs.replace(ask(shop(1)), dry_run=True), ask(shop(1))
    )

    assert planned.plan is not None
    assert planned.plan.facts == tuple(event.fact for event in shelf.commits[0].events)
    assert isinstance(done.answer, Accepted)


def test_every_public_command_is_here() -> None:
    public = {command for command in subclasses(PublicCommand) if has_tag(command)}

    assert {type(command) for command in DONE} == public == set(UNDER_A_NEW_ID)
