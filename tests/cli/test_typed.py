"""Commands as they are typed: the line sends just the body that it was made of."""

import shlex
from typing import Any

import pytest

from domain.contracts import COMMANDS
from restow.cli.typed import SHORT, typed

APP = {"environment": "shop", "layer": "app"}
SHORTLY: dict[str, dict[str, Any]] = {
    "layer.scale": {**APP, "count": 6},
    "layer.redeploy": {**APP, "image": "restow/counter:2"},
    "layer.remove": APP,
    "layer.limits": {**APP, "reserved": 2, "limit": 8, "delay_s": 0},
    "container.scale": {"container": "node1", "reserved": 2, "limit": 8},
    "container.migrate": {"container": "node1", "target": "h02"},
    "environment.remove": {"environment": "shop"},
    "environment.stop": {"environment": "shop"},
    "environment.start": {"environment": "shop"},
    **{f"host.{verb}": {"host": "h01"} for verb in ("cordon", "uncordon", "restore", "remove")},
    **{f"trigger.{verb}": {"trigger": "tr1"} for verb in ("remove", "enable", "disable")},
    "tenant.reset": {"tenant": "acme"},
}
AT_LENGTH: dict[str, dict[str, Any]] = {
    "layer.change": {**APP, "variables": {"MOTTO": "it's all, or nothing"}, "ports": []},
    "layer.scale": {**APP, "by": -1},
    "host.relabel": {"host": "h01", "labels": {"zone": "süd"}},
}


async def sent(restow, booth, name: str, body: dict[str, Any]) -> str:
    booth.says(name, {"command_id": "x", "status": "done", "position": 1})
    line = typed(name, body)
    ended = await restow(*shlex.split(line)[1:])
    assert ended.code == 0, (line, ended.err)
    assert booth.body(name) == body
    return line


def test_every_short_line_is_tried_here():
    assert SHORTLY.keys() == SHORT.keys()
    assert SHORT.keys() <= COMMANDS.keys()


@pytest.mark.parametrize("name", SHORTLY)
async def test_a_short_line_says_all_of_it(restow, booth, name):
    line = await sent(restow, booth, name, SHORTLY[name])
    assert "command send" not in line


@pytest.mark.parametrize("name", AT_LENGTH)
async def test_what_no_short_line_can_say_is_sent_as_json(restow, booth, name):
    line = await sent(restow, booth, name, AT_LENGTH[name])
    assert line.startswith(f"restow command send {name} ")
