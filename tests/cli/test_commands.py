"""What is typed becomes what is asked, and what is answered becomes what is shown."""

import io

import msgspec
import pytest

from domain.contracts import COMMANDS, decode_command
from domain.messages import PublicCommand, Refusal

DONE = {"status": "done", "command_id": "c-1", "position": 1_234, "version": 3}
ACCEPTED = {**DONE, "status": "accepted", "operation_id": "op3", "operation_ids": ["op3"]}

LINES = [
    (
        "host register h01 --memory-mib 8192 --cpu-mhz 6400 --disk-gib 100 -l zone=a -l rack=r1",
        "host.register",
        {
            "host": "h01",
            "memory_mib": 8192,
            "cpu_mhz": 6400,
            "disk_gib": 100,
            "overcommit": 1.0,
            "labels": {"zone": "a", "rack": "r1"},
        },
    ),
    ("host relabel h01 zone=b", "host.relabel", {"host": "h01", "labels": {"zone": "b"}}),
    ("host rate h01 420", "host.rate", {"host": "h01", "load_mark": 420}),
    (
        "tenant limit acme --rate 50 --burst 9 --in-flight 8 --kept 700",
        "tenant.limit",
        {"tenant": "acme", "rate": 50, "burst": 9, "in_flight": 8, "kept": 700},
    ),
    ("tenant limit _others --rate 50", "tenant.limit", {"tenant": "_others", "rate": 50}),
    ("tenant reset acme", "tenant.reset", {"tenant": "acme"}),
    ("dead retry dl3 --reason mended", "dead.retry", {"dead": "dl3", "reason": "mended"}),
    ("dead drop dl3 --reason rubbish", "dead.drop", {"dead": "dl3", "reason": "rubbish"}),
    ("host cordon h01 --reason new", "host.cordon", {"host": "h01", "reason": "new"}),
    ("host uncordon h01", "host.uncordon", {"host": "h01"}),
    (
        "host remove h01 -y --expect-version 4",
        "host.remove",
        {"host": "h01", "expect_version": 4},
    ),
    ("host lose h01 -y --reason burnt", "host.lose", {"host": "h01", "reason": "burnt"}),
    ("host recover h01", "host.recover", {"host": "h01"}),
    (
        "env create shop --layer bl:1 --layer app:3:reserved=2:limit=8 --group db=hard",
        "environment.create",
        {
            "environment": "shop",
            "layers": [
                {"name": "bl", "count": 1},
                {"name": "app", "count": 3, "reserved": 2, "limit": 8},
            ],
            "groups": {"db": "hard"},
        },
    ),
    ("environment remove shop -y", "environment.remove", {"environment": "shop"}),
    ("env stop shop", "environment.stop", {"environment": "shop"}),
    ("env start shop", "environment.start", {"environment": "shop"}),
    (
        "layer add shop cache:2",
        "layer.add",
        {"environment": "shop", "layer": {"name": "cache", "count": 2}},
    ),
    (
        "layer change shop/app --policy pack --var A=1 --var B=2 --port 80 --on-lost keep",
        "layer.change",
        {
            "environment": "shop",
            "layer": "app",
            "policy": "pack",
            "variables": {"A": "1", "B": "2"},
            "ports": [80],
            "on_lost": "keep",
        },
    ),
    ("layer remove shop/app --yes", "layer.remove", {"environment": "shop", "layer": "app"}),
    ("layer scale shop/app 6", "layer.scale", {"environment": "shop", "layer": "app", "count": 6}),
    ("layer scale shop/app +2", "layer.scale", {"environment": "shop", "layer": "app", "by": 2}),
    (
        "layer scale shop/app -1 --victim skew --dns keep --accept-downtime --no-queue",
        "layer.scale",
        {
            "environment": "shop",
            "layer": "app",
            "by": -1,
            "victim": "skew",
            "remove_from_dns": False,
            "accept_downtime": True,
            "queue": False,
        },
    ),
    (
        "layer limits shop/app --reserved 2 --limit 16 --all-at-once",
        "layer.limits",
        {
            "environment": "shop",
            "layer": "app",
            "reserved": 2,
            "limit": 16,
            "mode": "simultaneous",
        },
    ),
    ("layer restart shop/app", "layer.restart", {"environment": "shop", "layer": "app"}),
    (
        "layer restart shop/app --one-by-one --delay 1m30s --dns remove --on-failure stop --ask",
        "layer.restart",
        {
            "environment": "shop",
            "layer": "app",
            "delay_s": 90,
            "remove_from_dns": True,
            "on_failure": "stop",
            "ask": True,
        },
    ),
    (
        "layer restart shop/app --surge --accept-downtime --no-queue",
        "layer.restart",
        {
            "environment": "shop",
            "layer": "app",
            "surge": True,
            "accept_downtime": True,
            "queue": False,
        },
    ),
    (
        "layer redeploy shop/app restow/counter:2 --on-failure rollback --delay 5s",
        "layer.redeploy",
        {
            "environment": "shop",
            "layer": "app",
            "image": "restow/counter:2",
            "on_failure": "rollback",
            "delay_s": 5,
        },
    ),
    (
        "layer deploy shop/app --vcs https://git.example.org/shop.git --ref v1 --surge",
        "layer.deploy",
        {
            "environment": "shop",
            "layer": "app",
            "vcs": "https://git.example.org/shop.git",
            "ref": "v1",
            "surge": True,
        },
    ),
    (
        f"layer deploy shop/app --archive https://example.org/shop.zip --sha256 {'0' * 64}",
        "layer.deploy",
        {
            "environment": "shop",
            "layer": "app",
            "archive": "https://example.org/shop.zip",
            "sha256": "0" * 64,
        },
    ),
    (
        "ct scale node17 --reserved 2 --limit 16",
        "container.scale",
        {"container": "node17", "reserved": 2, "limit": 16},
    ),
    (
        "container migrate node17 --to h05 --deadline 20s --no-queue",
        "container.migrate",
        {"container": "node17", "target": "h05", "deadline_s": 20, "queue": False},
    ),
    (
        "ct scale node17 --reserved 2 --no-room",
        "container.scale",
        {"container": "node17", "reserved": 2, "make_room": False},
    ),
    ("growth cancel gr2", "growth.cancel", {"growth": "gr2"}),
    ("op pause op3", "operation.pause", {"operation": "op3"}),
    ("op resume op3", "operation.resume", {"operation": "op3"}),
    ("operation cancel op3", "operation.cancel", {"operation": "op3"}),
    (
        "rebalance start --moves 5 --goal load -e shop --zone north --at-once 1 --offline",
        "rebalance.start",
        {
            "moves": 5,
            "goal": "load",
            "environment": "shop",
            "zone": "north",
            "live": False,
            "at_once": 1,
        },
    ),
    ("rebalance pause rb1", "rebalance.pause", {"rebalance": "rb1"}),
    ("rebalance resume rb1", "rebalance.resume", {"rebalance": "rb1"}),
    ("rebalance stop rb1 --reason no", "rebalance.stop", {"rebalance": "rb1", "reason": "no"}),
    (
        "host evacuate h01 --to h02,h03 --offline --at-once 1",
        "host.evacuate",
        {"host": "h01", "targets": ["h02", "h03"], "live": False, "at_once": 1},
    ),
    ("host restore h01 --live", "host.restore", {"host": "h01"}),
    ("evacuation pause ev1", "evacuation.pause", {"evacuation": "ev1"}),
    ("evacuation resume ev1", "evacuation.resume", {"evacuation": "ev1"}),
    ("evacuation stop ev1", "evacuation.stop", {"evacuation": "ev1"}),
    (
        "trigger set shop/app --add-above 70 --remove-below 30 --add 2 --remove 3 --min 2 --off",
        "trigger.set",
        {
            "environment": "shop",
            "layer": "app",
            "resource": "cpu",
            "add_above": 70,
            "remove_below": 30,
            "add": 2,
            "remove": 3,
            "min_count": 2,
            "enabled": False,
        },
    ),
    (
        "trigger set a/b --resource iops --add-above 70 --full 9 --max 6 --window 5m --cooldown 1h",
        "trigger.set",
        {
            "environment": "a",
            "layer": "b",
            "resource": "iops",
            "add_above": 70,
            "full": 9,
            "max_count": 6,
            "window_s": 300,
            "cooldown_s": 3600,
        },
    ),
    (
        "trigger set a/b --remove-below 9 --on",
        "trigger.set",
        {"environment": "a", "layer": "b", "resource": "cpu", "remove_below": 9, "enabled": True},
    ),
    ("trigger remove tr1", "trigger.remove", {"trigger": "tr1"}),
    ("trigger enable tr1", "trigger.enable", {"trigger": "tr1"}),
    ("trigger disable tr1 --reason sale", "trigger.disable", {"trigger": "tr1", "reason": "sale"}),
]


@pytest.mark.parametrize(("line", "name", "body"), LINES, ids=[line for line, _, _ in LINES])
async def test_what_is_typed_is_what_is_asked(restow, booth, line, name, body):
    booth.says(name, DONE)

    ended = await restow(*line.split())

    assert (ended.code, ended.err) == (0, "")
    assert booth.body(name) == body
    assert isinstance(decode_command(name, msgspec.json.encode(body)), PublicCommand)


def test_every_command_of_the_contract_can_be_typed():
    assert {name for _, name, _ in LINES} == COMMANDS.keys()


@pytest.mark.parametrize("delay", ["-1", "301"])
async def test_a_delay_out_of_range_is_left_to_the_contract_which_tells_the_range(
    restow, booth, delay
):
    booth.says("layer.restart", DONE)

    await restow("layer", "restart", "shop/app", "--delay", delay)

    body = msgspec.json.encode(booth.body("layer.restart"))
    refusal = decode_command("layer.restart", body)
    assert isinstance(refusal, Refusal)
    assert refusal.detail.startswith(f"delay_s must be 0..300, got {delay}")


async def test_every_command_has_an_id_and_keeps_one_that_is_given(restow, booth):
    booth.says("host.cordon", DONE)
    await restow("host", "cordon", "h01")
    await restow("host", "cordon", "h01")
    await restow("host", "cordon", "h01", "--id", "mine")

    ids = [body["id"] for _, body in booth.heard]
    assert len(set(ids)) == 3
    assert ids[2] == "mine"


async def test_a_file_is_the_body_of_an_environment_and_flags_go_before_it(restow, booth, tmp_path):
    booth.says("environment.create", DONE)
    layers = [{"name": "app"}]
    (tmp_path / "shop.json").write_bytes(msgspec.json.encode({"layers": layers, "domain": "a.b"}))

    ended = await restow(*["env", "create", "shop", "--file", "shop.json", "--domain", "c.d"])

    assert ended.code == 0
    assert booth.body("environment.create") == {
        "environment": "shop",
        "layers": layers,
        "domain": "c.d",
    }


async def test_any_command_can_be_sent_as_json(restow, booth):
    booth.says("layer.scale", DONE)

    await restow("command", "send", "layer.scale", '{"environment":"shop","typo":1}')

    assert booth.body("layer.scale") == {"environment": "shop", "typo": 1}


async def test_a_command_is_read_from_standard_input(restow, booth, monkeypatch):
    booth.says("host.cordon", DONE)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"host":"h01"}'))

    await restow("command", "send", "host.cordon", "-")

    assert booth.body("host.cordon") == {"host": "h01"}


async def test_an_answer_is_a_sentence_with_its_position(restow, booth):
    booth.says("host.cordon", DONE)
    assert (await restow("host", "cordon", "h01")).out == "done  position 1,234\n"

    booth.says("host.cordon", {**DONE, "status": "unchanged"})
    assert (await restow("host", "cordon", "h01")).out == (
        "unchanged, it is so already  position 1,234\n"
    )


async def test_an_answer_as_json_is_the_reply_as_it_came(restow, booth):
    booth.says("host.cordon", DONE)

    ended = await restow("host", "cordon", "h01", "-o", "json")

    assert {key: ended.json[key] for key in DONE} == DONE


async def test_an_answer_may_be_one_line_of_json(restow, booth, monkeypatch):
    monkeypatch.setenv("RESTOW_OUTPUT", "jsonl")
    booth.says("host.cordon", DONE)
    ended = await restow("host", "cordon", "h01")
    assert (ended.out.count("\n"), ended.json["command_id"]) == (1, "c-1")


async def test_an_answer_may_be_the_name_of_the_operation_alone(restow, booth):
    booth.says("layer.restart", ACCEPTED)

    ended = await restow("layer", "restart", "shop/app", "-o", "name")

    assert ended.out == "op3\n"


async def test_off_a_terminal_nothing_is_waited_for_and_the_way_on_is_a_hint(restow, booth):
    booth.says("layer.restart", {**ACCEPTED, "notices": ["app: variable DB points at localhost"]})

    ended = await restow("layer", "restart", "shop/app")

    assert ended.out == "op3 accepted  position 1,234\n"
    assert ended.err.splitlines() == [
        "note: app: variable DB points at localhost",
        "  restow op watch op3",
    ]


async def test_a_dry_run_shows_what_would_be(restow, booth):
    plan = [{"type": "container.restarted", "data": {"container": "node1", "why": {"a": 1}}}]
    booth.says("layer.restart", {**DONE, "status": "planned", "plan": plan})

    ended = await restow("layer", "restart", "shop/app", "--dry-run")

    assert booth.body("layer.restart")["dry_run"] is True
    assert ended.out == (
        "planned, nothing was written; 1 event would be  position 1,234\n"
        "  + container.restarted  container=node1\n"
    )
