"""Plans on the command line: shown, saved, made again, and applied as they are or not at all."""

from typing import Any

import msgspec
import pytest

from domain.contracts import reply_body
from domain.decider import Answered, Ask
from domain.environment import CreateEnvironment
from domain.messages import AskId, Code, PublicCommand
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleLayer
from restow.cli.planned import lasts
from tests.examples import Scene, given, hosts, layer, shop

DONE = {"status": "done", "command_id": "c-1", "position": 1_234, "version": 3}
RESTART = RestartLayer(environment="shop", layer="app", delay_s=10)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return given(hosts(4), shop(2, reserved=2, limit=8))


def told(scene: Scene, command: PublicCommand) -> dict[str, Any]:
    """Return what an engine says to a dry run."""
    region = scene.world.region
    answer, plan = region.plan(Ask(AskId("plan"), command, dry_run=True), scene.world.now)
    body = reply_body(Answered(answer, region.position, plan), "c-1")
    return msgspec.json.decode(body, type=dict[str, Any])


async def test_a_plan_is_told_in_tables(restow, booth, scene):
    reply = told(scene, RESTART)
    booth.says("layer.restart", reply)

    ended = await restow("layer", "restart", "shop/app", "--delay", "10", "--dry-run")

    lines = ended.out.splitlines()
    assert lines[0].startswith("planned, nothing was written; 5 events would be")
    made = (
        "delay 9.8s (1, as asked), healthy 6s (2, default), restart 4s (2, default),"
        " ttl 3s (2, rule), route-out 400ms (2, default), route-in 400ms (2, default)"
    )
    orders = "route-out routing, restart {}, route-in routing"
    assert lines[6:16] == [
        f"plan {reply['plan_name']}",
        f"  takes about 23.6s: {made}",
        "  op2 would end done",
        "",
        "AT     TAKES  CONTAINER  STEP     ENDS  OF   ORDERS",
        f"0ms    6.9s   node1      restart  done  op2  {orders.format('h1')}",
        f"16.7s  6.9s   node2      restart  done  op2  {orders.format('h2')}",
        "",
        "AT     OUT OF DNS  CONTAINER  RECORDS",
        "200ms  6.7s        node1      node1-shop.restow.internal,app.shop.restow.internal",
    ]


async def test_how_to_apply_it_can_be_typed_as_it_is_told(restow, booth, scene):
    reply = told(scene, RESTART)
    booth.says("layer.restart", reply, DONE)

    ended = await restow("layer", "restart", "shop/app", "--dry-run")
    line = ended.err.removeprefix("  apply it  restow ").strip()
    name, body = line.removeprefix("command send ").split(" ", 1)
    await restow("command", "send", name, body.strip("'"))

    assert name == "layer.restart"
    sent = {key: value for key, value in booth.heard[-1][1].items() if key != "id"}
    assert {"type": "layer.restart", **sent} == reply["apply"]
    assert sent["expect_plan"] == reply["plan_name"]


async def test_moves_and_hosts_are_told(restow, booth, scene):
    booth.says("container.migrate", told(scene, MigrateContainer(container="node1")))

    ended = await restow("ct", "migrate", "node1", "--dry-run")

    lines = ended.out.splitlines()
    assert "AT  CONTAINER  MOVE   FROM  TO  FROZEN" in lines
    assert "5s  node1      moved  h1    h3  500ms" in lines
    assert lines[-3:] == [
        "HOST  CLOUDLETS  BEFORE  AFTER  CONTAINERS  DISK GIB",
        "h1    32         2       0      1 -> 0      1 -> 0",
        "h3    32         0       2      0 -> 1      0 -> 1",
    ]


async def test_what_leaves_dns_for_good_says_so(restow, booth, scene):
    reply = told(scene, ScaleLayer(environment="shop", layer="app", by=-1))
    booth.says("layer.scale", reply)

    ended = await restow("layer", "scale", "shop/app", "-1", "--dry-run")

    assert "200ms  for good    node2 " in ended.out


async def test_many_events_are_told_by_their_number(restow, booth, scene):
    create = CreateEnvironment(environment="blog", layers=(layer(count=8),))
    booth.says("environment.create", told(scene, create))
    line = ("env", "create", "blog", "--layer", "app:8", "--dry-run")

    short, whole = await restow(*line), await restow(*line, "-o", "wide")

    assert "  + 24 more, see -o wide" in short.out
    assert whole.out.count("  + ") == 36


async def test_the_name_of_a_plan_alone(restow, booth, scene):
    reply = told(scene, RESTART)
    booth.says("layer.restart", reply)

    ended = await restow("layer", "restart", "shop/app", "--dry-run", "-o", "name")

    assert ended.out == f"{reply['plan_name']}\n"


async def test_a_command_may_name_its_plan(restow, booth):
    booth.says("host.cordon", DONE)

    await restow("host", "cordon", "h01", "--expect-plan", f"7-{'0' * 32}")

    assert booth.body("host.cordon")["expect_plan"] == f"7-{'0' * 32}"


class TestSaved:
    @pytest.fixture
    async def saved(self, restow, booth, scene, tmp_path):
        booth.says("layer.restart", told(scene, RESTART))
        ended = await restow("layer", "restart", "shop/app", "--dry-run", "-o", "json")
        (tmp_path / "plan.json").write_text(ended.out)
        booth.heard.clear()
        return ended.json

    async def test_is_applied_as_it_is(self, restow, booth, saved):
        booth.says("layer.restart", DONE)

        ended = await restow("plan", "apply", "plan.json")

        assert ended.code == 0
        assert {"type": "layer.restart", **booth.body("layer.restart")} == saved["apply"]

    async def test_is_read_from_standard_input(self, restow, booth, saved, monkeypatch, tmp_path):
        booth.says("layer.restart", DONE)
        with (tmp_path / "plan.json").open() as file:
            monkeypatch.setattr("sys.stdin", file)
            ended = await restow("plan", "apply", "-")

        assert ended.code == 0
        assert booth.body("layer.restart")["expect_plan"] == saved["plan_name"]

    async def test_that_is_outdated_is_a_conflict(self, restow, booth, saved):
        assert saved["status"] == "planned"
        booth.refuses("layer.restart", Code.PLAN_OUTDATED, "it would do something else; since")

        ended = await restow("plan", "apply", "plan.json")

        assert ended.code == 5
        assert "plan.outdated: it would do something else" in ended.err

    async def test_is_made_again_without_being_held_to_the_old_one(self, restow, booth, saved):
        booth.says("layer.restart", saved)

        await restow("plan", "again", "plan.json")

        body = booth.body("layer.restart")
        assert body["dry_run"] is True
        assert "expect_plan" not in body

    async def test_is_shown_as_it_was_made(self, restow, booth, saved):
        booth.says("layer.restart", saved)
        fresh = await restow("layer", "restart", "shop/app", "--dry-run")

        shown = await restow("plan", "show", "plan.json")
        name = await restow("plan", "show", "plan.json", "-o", "name")
        again = await restow("plan", "show", "plan.json", "-o", "json")
        line = await restow("plan", "show", "plan.json", "-o", "jsonl")

        assert shown.out == "".join(
            line for line in fresh.out.splitlines(keepends=True) if "  + " not in line
        )
        assert name.out.strip() == saved["plan_name"]
        assert again.json == line.json == saved

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (None, "cannot be read: No such file"),
            ("{", "is no plan: Input data was truncated"),
            ("[]", "is no plan: Expected `object`"),
            ('{"status":"done","command_id":"c"}', "is no plan; make one with --dry-run"),
        ],
    )
    async def test_what_is_no_plan_is_wrong_usage(self, restow, tmp_path, text, why):
        if text is not None:
            (tmp_path / "plan.json").write_text(text)

        ended = await restow("plan", "apply", "plan.json")

        assert ended.code == 2
        assert why in ended.err


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0ms"),
        (999, "999ms"),
        (6_900, "6.9s"),
        (4_000, "4s"),
        (80_300, "1m20s"),
        (7_500_000, "2h05m"),
    ],
)
def test_durations_are_as_exact_as_they_are_worth(ms, said):
    assert lasts(ms) == said
