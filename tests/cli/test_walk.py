"""The walk of docs/audit.md, line by line: what was, what changed, who asked, and why there."""

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.environment import CreateEnvironment, LayerSpec
from domain.messages import ContainerId, Instant
from domain.operation import ScaleLayer
from restow.simulation.world import World
from tests.journal.samples import written

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
THEN, UNTIL = "2026-11-21T14:03:00Z", "2026-11-21T14:10:00Z"
"""The times of the page; here they are when the world was quiet."""


def walk(page: str) -> list[str]:
    """Return the lines of the walk."""
    block = re.search(r"^## A walk\n.*?^```\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert block is not None
    return block[1].splitlines()


def typed(at: Instant) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).isoformat()


@dataclass
class Lived:
    """A world, and when in it the times of the page are."""

    world: World
    times: dict[str, Instant]


@pytest.fixture
async def lived(bus, subjects) -> Lived:
    """Write down a world in which node7 came between two times, and return it."""
    world = World(seed=5)
    world.hosts(3)
    spec = LayerSpec(name="app", count=6, limit=4)
    world.ask(CreateEnvironment(environment="shop", layers=(spec,)), actor="alice")
    world.settle()
    world.pass_(60_000)
    then = world.now
    world.pass_(60_000)
    scale = ScaleLayer(environment="shop", layer="app", count=7)
    world.ask(scale, actor="bob", reason="a sale")
    world.settle()
    until = world.now
    await written(bus, subjects, world.journal)
    return Lived(world, {THEN: then, UNTIL: until})


async def test_every_line_answers_its_question(restow, lived: Lived):
    told = []
    fleet = lived.world.fleet
    home = fleet.containers[ContainerId("node7")].host
    other = next(name for name in fleet.hosts if name != home)
    for line in walk(PAGE.read_text(encoding="utf-8")):
        for said, at in lived.times.items():
            line = line.replace(said, typed(at))  # noqa: PLW2901 - the page's times are those of the world
        words = shlex.split(line.replace(" h03", f" {other}"))
        assert words[0] == "restow"
        ended = await restow(*words[1:])
        assert ended.code == 0, (line, ended.err)
        told.append(ended.out)
    was, changed, asked, placed, not_there = told
    assert re.search(r"^containers +6$", was, re.MULTILINE)
    assert re.search(
        r'^container\.node7 +added .*layer\.scale by bob \("a sale"\)', changed, re.MULTILINE
    )
    assert "command layer.scale by bob" in asked
    assert 'because "a sale"' in asked
    assert re.search(rf"^host +{home}$", placed, re.MULTILINE)
    assert re.search(r"^why +policy=spread", placed, re.MULTILINE)
    assert f"{home} won by spread" in not_there


async def test_why_has_two_names_and_one_answer(restow, lived: Lived):
    at = typed(lived.times[UNTIL])
    one = await restow("audit", "why", "node7", "--at", at)
    other = await restow("event", "why", "node7", "--at", at)
    assert one.code == 0, one.err
    assert one.out == other.out
    assert (await restow("audit", "why", "--help")).out.startswith("Usage: restow audit why")
