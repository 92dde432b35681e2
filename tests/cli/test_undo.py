"""Undo on the command line: what is printed, what is sent, and what is not."""

from typing import Any

import pytest

from domain.environment import CreateEnvironment, LayerSpec
from domain.host import CordonHost, RelabelHost
from domain.messages import Code, ContainerId
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleLayer, ScaleNode
from domain.wire import decode_frame
from restow.simulation.world import World
from tests.journal.samples import written

SHOP: dict[str, Any] = {"environment": "shop", "layer": "app"}


@pytest.fixture
async def lived(bus, subjects) -> World:
    """Write down what a small fleet lived through, and return it."""
    world = World(seed=5)
    world.hosts(3)
    spec = LayerSpec(name="app", count=2, limit=4)
    world.ask(CreateEnvironment(environment="shop", layers=(spec,)), actor="alice")
    world.settle()
    world.ask(ScaleLayer(**SHOP, count=4), actor="bob", reason="a sale")
    world.settle()
    world.ask(ScaleNode(container="node1", limit=8), actor="bob")
    world.settle()
    home = world.fleet.containers[ContainerId("node1")].host
    away = "h02" if home == "h01" else "h01"
    world.ask(MigrateContainer(container="node1", target=away), actor="bob")
    world.settle()
    world.ask(CordonHost(host=home), actor="carol", reason="a fan")
    world.ask(RestartLayer(**SHOP, delay_s=0), actor="carol")
    world.settle()
    world.ask(RelabelHost(host="h02", labels={"zone": "x"}), actor="bob")
    world.ask(RelabelHost(host="h02", labels={"zone": "y"}), actor="alice")
    await written(bus, subjects, world.journal)
    return world


def position_of(world: World, command: str, nth: int = 0) -> int:
    """Return the last position of a command's commit."""
    found = []
    for data in world.journal:
        frame = decode_frame(data)
        position = frame.position - 1
        for commit in frame.commits:
            position += len(commit.events)
            if commit.command == command:
                found.append(position)
    return found[nth]


def planned(**body: Any) -> dict[str, Any]:
    return {
        "command_id": "x",
        "status": "planned",
        "position": 9,
        "plan": [],
        "plan_name": "9-0123456789abcdef0123456789abcdef",
        "apply": body,
    }


DONE = {"command_id": "x", "status": "done", "position": 10}


class TestLooking:
    async def test_by_operation_by_position_and_as_lines_to_type(self, restow, lived):
        ended = await restow("audit", "undo", "op2")
        assert ended.code == 0, ended.err
        lines = ended.out.splitlines()
        assert lines[0].startswith('undo layer.scale by bob ("a sale"), ')
        assert lines[1] == "  1  restow layer scale shop/app 2"
        assert lines[2] == "       layer.shop/app count 4 -> 2"
        assert lines[-1].endswith(": each is done")
        position = position_of(lived, "layer.scale")
        again = await restow("audit", "undo", str(position), "-o", "name")
        assert again.out == "restow layer scale shop/app 2\n"

    async def test_as_json(self, restow, lived):
        position = position_of(lived, "container.scale")
        told = (await restow("audit", "undo", str(position), "-o", "json")).json
        (command,) = told["commands"]
        assert command["body"] == {"container": "node1", "reserved": 1, "limit": 4}
        assert command["cli"] == "restow ct scale node1 --reserved 1 --limit 4"
        assert command["back"] == [
            {"of": "container.node1", "member": "size", "now": [1, 8], "then": [1, 4]}
        ]
        assert (told["left"], told["unlike"], command["against"]) == ([], [], "")
        ask = told["asked"][0]["ask"]
        assert (await restow("audit", "undo", ask, "-o", "json")).json["commands"] == [command]

    async def test_a_span_is_undone_in_an_order_that_works(self, restow, lived):
        begin = str(position_of(lived, "environment.create"))
        ended = await restow("audit", "undo", "--from", begin, "-o", "json")
        told = ended.json
        types = [one["type"] for one in told["commands"]]
        assert types[0] == "host.uncordon"
        assert types[-1] == "container.migrate"
        assert {"layer.scale", "container.scale", "host.relabel"} <= set(types)
        assert [one["of"] for one in told["left"]] == ["layer.restart"]
        assert ended.code == 9

    async def test_what_somebody_changed_since_is_left(self, restow, lived):
        position = position_of(lived, "host.relabel")
        ended = await restow("audit", "undo", str(position))
        assert ended.code == 9
        assert "nothing to send" in ended.out
        assert "host.h02 labels: changed since, by host.relabel by alice at position" in ended.out
        restart = await restow("audit", "undo", str(position_of(lived, "layer.restart")))
        assert "a restart leaves nothing to bring back" in restart.out

    async def test_what_is_refused_is_said_before_anything_is_sent(self, restow, lived):
        position = position_of(lived, "container.migrate")
        ended = await restow("audit", "undo", str(position), "--apply")
        assert ended.code == 4
        assert "restow ct migrate node1 --to " in ended.out
        assert "       would be refused, " in ended.out
        assert ended.out.splitlines()[-1].endswith(": 1 of 1 not done")
        assert "nothing was sent" in ended.err

    @pytest.mark.usefixtures("lived")
    async def test_what_takes_something_away_wants_a_yes(self, restow):
        ended = await restow("audit", "undo", "--from", "0", "--apply")
        assert ended.code == 2
        assert "restow env remove shop --yes" in ended.out
        assert "restow host remove h01 --yes" in ended.out
        assert "--yes" in ended.err

    @pytest.mark.usefixtures("lived")
    async def test_what_is_not_there(self, restow):
        for words, code in (((), 2), (("op2", "--from", "3"), 2), (("op99",), 3), (("none",), 3)):
            ended = await restow("audit", "undo", *words)
            assert ended.code == code, ended


class TestApplying:
    async def test_each_command_is_planned_and_held_to_its_plan(self, restow, lived, booth):
        booth.says("host.uncordon", planned(type="host.uncordon"), DONE)
        position = position_of(lived, "host.cordon")

        ended = await restow("audit", "undo", str(position), "--apply", "--yes")

        assert ended.code == 0, ended.err
        (_, first), (_, second) = booth.heard
        assert first["dry_run"] is True
        assert second["expect_plan"] == planned()["plan_name"]
        assert second["id"] == f"undo-{planned()['plan_name']}"
        assert second["reason"].startswith("undo of host.cordon ")
        assert "1 of 1: restow host uncordon h0" in ended.err

    async def test_the_first_that_is_refused_ends_it(self, restow, lived, booth):
        booth.refuses("host.uncordon", Code.PLAN_OUTDATED, "it changed meanwhile")
        position = position_of(lived, "host.cordon")

        ended = await restow("audit", "undo", str(position), "--apply", "--reason", "the fan is in")

        assert ended.code == 5
        assert "it changed meanwhile" in ended.err
        assert booth.body("host.uncordon")["reason"] == "the fan is in"
