"""What was asked is undone by ordinary commands, or it is said why it is not."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from domain.chronicle import evolve
from domain.decider import Commit
from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import (
    AddLayer,
    ChangeLayer,
    CreateEnvironment,
    EnvironmentState,
    LayerSpec,
    RemoveEnvironment,
    RemoveLayer,
    StartEnvironment,
    StopEnvironment,
)
from domain.evacuation import EvacuateHost
from domain.facts import Fact
from domain.fleet import Fleet
from domain.host import CordonHost, RateHost, RegisterHost, RelabelHost, RemoveHost, UncordonHost
from domain.messages import EnvironmentId, HostId, PublicCommand, Refusal
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleLayer, ScaleNode, SetCloudletLimits
from domain.tenant import LimitTenant, ResetTenant
from domain.trigger import DisableTrigger, EnableTrigger, RemoveTrigger, SetTrigger
from domain.undoing import Undoing
from domain.waysback import Undone, ways_back
from domain.wire import decode_frame
from restow.simulation.world import World

ARCHIVE = "https://example.org/shop.zip"


def commits_of(world: World) -> Sequence[tuple[int, Commit[Fact]]]:
    found: list[tuple[int, Commit[Fact]]] = []
    for data in world.journal:
        frame = decode_frame(data)
        position = frame.position - 1
        for commit in frame.commits:
            position += len(commit.events)
            found.append((position, commit))
    return found


class Told:
    """A world in which something was asked that is to be undone."""

    def __init__(self) -> None:
        self.world = World(seed=5)
        self.world.hosts(5)
        layers = (
            LayerSpec(name="app", count=3, limit=4, variables={"MODE": "slow"}),
            LayerSpec(name="sql", count=2, anti_affinity="hard", stateful=True),
        )
        self.done(
            CreateEnvironment(environment="shop", layers=layers),
            RelabelHost(host="h02", labels={"zone": "a", "rack": "7"}),
            RateHost(host="h03", load_mark=20),
            LimitTenant(tenant="acme", rate=5),
            SetTrigger(environment="shop", layer="app", resource="cpu", add_above=70),
            DeployApplication(environment="shop", layer="app", archive=ARCHIVE, delay_s=0),
        )
        self.begun = self.world.region.position

    def done(self, *commands: PublicCommand) -> None:
        for command in commands:
            answer = self.world.ask(command)
            assert not isinstance(answer, Refusal), (command, answer)
            self.world.settle()

    def undoing(self, *, upto: int | None = None) -> Undoing:
        """Return what undoes all that was asked since it began, up to a position."""
        end = self.world.region.position if upto is None else upto
        commits = commits_of(self.world)
        fleet = Fleet()
        for position, commit in commits:
            if position <= self.begun:
                for event in commit.events:
                    evolve(fleet, event.fact, commit.at)
        undoing = Undoing(
            fleet,
            lambda position, commit: position <= end and commit.command in NAMES,
        )
        for position, commit in commits:
            if position > self.begun:
                undoing.take(position, commit)
        return undoing

    def undo(self) -> Undone:
        """Undo all of it, as far as it goes, and return how."""
        undoing = self.undoing()
        assert undoing.going_on() == []
        told = ways_back(undoing)
        self.done(*(step.command for step in told.steps))
        left = {(one.of, one.member) for one in told.left}
        unlike = undoing.unlike(self.world.fleet)
        assert {(intent.whose, intent.member) for intent in unlike} <= left, unlike
        return told


NAMES = {str(shape.__struct_config__.tag) for shape in PublicCommand.__subclasses__()} | {
    "layer.limits",
    "layer.restart",
    "layer.scale",
    "layer.redeploy",
    "layer.deploy",
}


@pytest.fixture
def told() -> Told:
    return Told()


APP: dict[str, Any] = {"environment": "shop", "layer": "app"}
ONES: dict[str, tuple[PublicCommand, ...]] = {
    "relabel": (RelabelHost(host="h02", labels={"zone": "b"}),),
    "rate": (RateHost(host="h03", load_mark=500),),
    "cordon": (CordonHost(host="h01", reason="a fan"),),
    "register": (RegisterHost(host="h09", memory_mib=8_192, cpu_mhz=40_000, disk_gib=100),),
    "limit a tenant": (LimitTenant(tenant="acme", rate=7),),
    "limit another tenant": (LimitTenant(tenant="else", rate=7),),
    "reset a tenant": (ResetTenant(tenant="acme"),),
    "create an environment": (
        CreateEnvironment(environment="new", layers=(LayerSpec(name="one", count=2),)),
    ),
    "remove an environment": (RemoveEnvironment(environment="shop"),),
    "stop an environment": (StopEnvironment(environment="shop"),),
    "add a layer": (AddLayer(environment="shop", layer=LayerSpec(name="cache")),),
    "remove a layer": (RemoveLayer(environment="shop", layer="app"),),
    "change a layer": (ChangeLayer(**APP, policy="pack", variables={}, ports=(80,)),),
    "scale out": (ScaleLayer(**APP, count=5),),
    "scale in": (ScaleLayer(**APP, by=-1),),
    "limits": (SetCloudletLimits(**APP, limit=6, reserved=2),),
    "redeploy": (RedeployLayer(**APP, image="restow/counter:2", delay_s=0),),
    "deploy": (DeployApplication(**APP, vcs="https://git.example.org/a", ref="v2", delay_s=0),),
    "scale a container": (ScaleNode(container="node1", limit=8),),
    "move a container": (MigrateContainer(container="node1"),),
    "evacuate": (EvacuateHost(host="h01", reason="a fan"),),
    "set a trigger anew": (SetTrigger(**APP, resource="cpu", add_above=90, max_count=6),),
    "set another trigger": (SetTrigger(**APP, resource="memory", add_above=90),),
    "disable a trigger": (DisableTrigger(trigger="tr1"),),
    "remove a trigger": (RemoveTrigger(trigger="tr1"),),
    "stop, and much else": (
        ScaleLayer(**APP, count=4),
        SetCloudletLimits(**APP, limit=8),
        ScaleNode(container="node2", limit=9),
        RemoveTrigger(trigger="tr1"),
        RedeployLayer(**APP, image="restow/counter:2", delay_s=0),
        StopEnvironment(environment="shop"),
        CordonHost(host="h05"),
        RelabelHost(host="h05", labels={"zone": "c"}),
    ),
    "changed, then removed": (
        ScaleLayer(**APP, count=4),
        SetCloudletLimits(**APP, limit=8),
        ChangeLayer(**APP, policy="pack"),
        CordonHost(host="h05"),
        RemoveEnvironment(environment="shop"),
    ),
}


@pytest.mark.parametrize("name", ONES)
def test_all_is_as_it_was_intended_before(told, name):
    told.done(*ONES[name])
    undone = told.undo()
    assert undone.steps
    assert undone.left == ()
    assert all(step.command for step in undone.steps)


@pytest.mark.parametrize("name", ONES)
def test_what_is_undone_is_not_undone_twice(told, name):
    told.done(*ONES[name])
    end = told.world.region.position
    told.undo()
    again = told.undoing(upto=end)
    assert ways_back(again).steps == ()


class TestLeft:
    """What is not undone is told, with the reason."""

    def test_what_somebody_else_changed_since(self, told):
        told.done(ScaleLayer(**APP, count=5))
        end = told.world.region.position
        told.done(ScaleLayer(**APP, count=4))
        (left,) = ways_back(told.undoing(upto=end)).left
        assert (left.of, left.member) == ("layer.shop/app", "count")
        assert left.why.startswith("changed since, by layer.scale by operator at position ")

    def test_what_somebody_else_put_into_what_was_made(self, told):
        told.done(CreateEnvironment(environment="new", layers=(LayerSpec(name="one"),)))
        end = told.world.region.position
        told.done(ChangeLayer(environment="new", layer="one", policy="pack"))
        undone = ways_back(told.undoing(upto=end))
        assert undone.steps == ()
        assert {one.of for one in undone.left} == {"environment.new", "layer.new/one"}
        assert all("layer.change" in one.why for one in undone.left)

    def test_what_somebody_else_took_away(self, told):
        told.done(ChangeLayer(**APP, policy="pack"), ScaleNode(container="node3", limit=8))
        end = told.world.region.position
        told.done(ScaleLayer(**APP, count=2))
        undone = ways_back(told.undoing(upto=end))
        assert [type(step.command) for step in undone.steps] == [ChangeLayer]
        (left,) = undone.left
        assert (left.of, left.why) == ("container.node3", "it is not there any more")

    def test_what_somebody_else_made_anew(self, told):
        told.done(ChangeLayer(**APP, policy="pack"))
        end = told.world.region.position
        spec = LayerSpec(name="app", policy="virtuozzo-loadmark")
        told.done(
            RemoveLayer(environment="shop", layer="app"),
            AddLayer(environment="shop", layer=spec),
        )
        (left,) = ways_back(told.undoing(upto=end)).left
        assert (left.of, left.why) == ("layer.shop/app", "it is another by now")

    @pytest.mark.parametrize(
        ("command", "why"),
        [
            (RestartLayer(**APP, delay_s=0), "a restart leaves nothing to bring back"),
            (RateHost(host="h01", load_mark=7), "a load mark cannot be taken away again"),
            (
                DeployApplication(environment="shop", layer="sql", archive=ARCHIVE, delay_s=0),
                "it had none, and an application cannot be taken out of containers that have one",
            ),
        ],
    )
    def test_what_nothing_brings_back(self, told, command, why):
        told.done(command)
        undone = told.undo()
        assert [one.why for one in undone.left] == [why]
        assert undone.steps == ()

    def test_what_belongs_to_a_tenant(self, told):
        spec = (LayerSpec(name="one"),)
        world = told.world
        world.ask(CreateEnvironment(environment="theirs", layers=spec), tenant="acme")
        world.settle()
        told.begun = world.region.position
        told.done(RemoveEnvironment(environment="theirs"))
        undone = ways_back(told.undoing())
        assert undone.steps == ()
        (left,) = undone.left
        assert (left.of, left.member) == ("environment.theirs", "there")
        assert left.why == "it was tenant acme's, who alone can create it anew"

    def test_what_is_not_over_is_not_undone_yet(self, told):
        told.world.ask(EvacuateHost(host="h01"))
        (name,) = [one for one in told.undoing().going_on() if one.startswith("evacuation")]
        assert name == "evacuation.ev1"


class TestHosts:
    """Hosts that are taken away come back as they were, as far as that is remembered."""

    def test_removed_after_it_was_cordoned_and_rated(self, told):
        told.done(RegisterHost(host="h09", memory_mib=8_192, cpu_mhz=40_000, disk_gib=100))
        told.done(CordonHost(host="h09"), RateHost(host="h09", load_mark=7))
        told.begun = told.world.region.position
        before = told.world.fleet.hosts[HostId("h09")]
        told.done(RelabelHost(host="h09", labels={"zone": "q"}), RemoveHost(host="h09"))
        undone = told.undo()
        kinds = [type(step.command) for step in undone.steps]
        assert kinds == [RegisterHost, RateHost, CordonHost]
        assert told.world.fleet.hosts[HostId("h09")] == replace(before, term=1)  # another host

    def test_opened_and_started_again(self, told):
        told.done(CordonHost(host="h01"), StopEnvironment(environment="shop"))
        told.begun = told.world.region.position
        told.done(UncordonHost(host="h01"), StartEnvironment(environment="shop"))
        kinds = [type(step.command) for step in told.undo().steps]
        assert [one.__name__ for one in kinds] == ["StopEnvironment", "CordonHost"]

    def test_a_stopped_environment_comes_back_stopped(self, told):
        told.done(StopEnvironment(environment="shop"))
        told.begun = told.world.region.position
        told.done(RemoveEnvironment(environment="shop"))
        first, *others = [step.command for step in told.undo().steps]
        assert isinstance(first, CreateEnvironment)
        assert StopEnvironment(environment="shop") in others
        state = told.world.fleet.environments[EnvironmentId("shop")].state
        assert state is EnvironmentState.STOPPED

    def test_a_trigger_that_was_off_comes_back_off(self, told):
        told.done(DisableTrigger(trigger="tr1"))
        told.begun = told.world.region.position
        told.done(EnableTrigger(trigger="tr1"))
        assert [type(step.command) for step in told.undo().steps] == [DisableTrigger]
