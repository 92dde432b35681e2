"""What is read, and how it is shown."""

from typing import Any

import msgspec
import pytest

HOSTS: dict[str, Any] = {
    "items": [
        {"id": "h01", "zone": "north", "state": "active", "cloudlets": 64, "used": 10, "free": 54},
        {"id": "h02", "zone": "", "state": "cordoned", "cloudlets": 64, "used": 0, "free": 64},
    ],
    "position": 77,
}


async def test_a_list_is_a_table(restow, booth):
    booth.says("host.list", HOSTS)

    ended = await restow("host", "list")

    assert ended.out.splitlines() == [
        "HOST  ZONE   STATE     CLOUDLETS  FREE  CONTAINERS  HEARD",
        "h01   north  active    10/64      54    -           -",
        "h02   -      cordoned  0/64       64    -           -",
    ]
    assert (ended.code, ended.err) == (0, "")


async def test_headers_can_be_left_out(restow, booth):
    booth.says("host.list", HOSTS)
    assert (await restow("host", "list", "--no-headers")).out.startswith("h01  north")


async def test_json_is_the_answer_itself(restow, booth):
    booth.says("host.list", HOSTS)
    assert (await restow("host", "list", "-o", "json")).json == HOSTS


async def test_json_lines_are_the_items(restow, booth):
    booth.says("host.list", HOSTS)
    lines = (await restow("host", "list", "-o", "jsonl")).out.splitlines()
    assert [msgspec.json.decode(line) for line in lines] == HOSTS["items"]


async def test_names_can_be_piped(restow, booth):
    booth.says("layer.list", {"items": [{"environment": "shop", "name": "app"}], "position": 1})
    assert (await restow("layer", "list", "-o", "name")).out == "shop/app\n"


async def test_the_output_can_be_chosen_by_the_environment(restow, booth, monkeypatch):
    monkeypatch.setenv("RESTOW_OUTPUT", "name")
    booth.says("host.list", HOSTS)
    assert (await restow("host", "list")).out == "h01\nh02\n"


async def test_a_long_list_is_read_page_by_page(restow, booth):
    first, second = HOSTS["items"]
    booth.says(
        "host.list",
        {"items": [first], "position": 70, "next": "h01"},
        {"items": [second], "position": 77},
    )

    ended = await restow("host", "list", "-o", "json")

    assert ended.json == HOSTS
    assert [body.get("after") for _, body in booth.heard] == [None, "h01"]


async def test_own_writes_are_read_by_their_position(restow, booth):
    booth.says("host.list", HOSTS)
    booth.says("host.show", HOSTS["items"][0])

    await restow("host", "list", "--min-position", "77")
    await restow("host", "show", "h01", "--min-position", "78")

    assert [body["min_position"] for _, body in booth.heard] == [77, 78]


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("ct list", {}),
        ("ct list shop", {"environment": "shop"}),
        ("ct list shop/app", {"environment": "shop", "layer": "app"}),
        ("container list --host h01", {"host": "h01"}),
    ],
)
async def test_containers_are_listed_by_layer_or_host(restow, booth, line, body):
    booth.says("container.list", {"items": [], "position": 1})

    ended = await restow(*line.split())

    assert ended.out.startswith("CONTAINER  LAYER  HOST")
    assert booth.body("container.list") == {**body, "limit": 1_000}


async def test_one_thing_is_shown_member_by_member(restow, booth):
    booth.says("operation.show", {"id": "op3", "kind": "restart", "steps": [{"container": "n1"}]})

    ended = await restow("op", "show", "op3")

    assert ended.out == "id     op3\nkind   restart\nsteps  container=n1\n"
    assert booth.body("operation.show") == {"operation": "op3"}


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("node17", "container.node17"),
        ("op3", "operation.op3"),
        ("mv5", "migration.mv5"),
        ("host.h01", "host.h01"),
        ("environment.shop", "environment.shop"),
    ],
)
async def test_events_are_listed_by_what_they_are_about(restow, booth, name, stream):
    booth.says("event.list", {"items": [], "position": 1})
    assert (await restow("event", "list", name)).code == 0
    assert booth.body("event.list") == {"stream": stream, "limit": 50}


async def test_a_name_without_a_stream_is_refused_with_examples(restow):
    ended = await restow("event", "list", "shop")
    assert ended.code == 2
    assert "write node17, op3, mv5, host.h01 or environment.shop" in ended.err


def event_line(position, stream, tag, ask, **data):
    return {
        "position": position,
        "at": 0,
        "stream": stream,
        "version": 1,
        "type": tag,
        "data": data,
        "ask": ask,
        "actor": "operator",
    }


async def test_why_follows_causes_to_the_command_and_its_reason(restow, booth):
    restarted = event_line(9, "container.node1", "container.restarted", "h1/2/o4", saga="op3")
    booth.says("event.list", {"items": [restarted], "position": 9})
    gone = {"code": "request.invalid", "status": 400, "detail": "", "type": "", "title": ""}
    command = {"id": "c-1", "command": "layer.restart", "actor": "ana", "at": 0, "reason": "cert"}
    booth.says("command.show", gone, command)
    booth.says("operation.show", {"id": "op3", "kind": "restart", "ask": "c-1", "actor": "ana"})

    ended = await restow("event", "why", "node1")

    assert ended.out.splitlines() == [
        "container.restarted at position 9: saga=op3",
        "  operation op3 of ana",
        '    command layer.restart by ana, because "cert"',
    ]


async def test_the_event_at_a_position_must_be_that_one(restow, booth):
    booth.says(
        "event.list", {"items": [event_line(12, "host.h01", "host.rated", "a")], "position": 12}
    )
    assert (await restow("event", "show", "12", "-o", "json")).json["position"] == 12
    assert (await restow("event", "show", "11")).code == 2


async def test_commands_are_listed_without_a_connection(restow, monkeypatch):
    monkeypatch.setenv("RESTOW_URL", "nats://127.0.0.1:1")
    ended = await restow("command", "list", "-o", "name")
    assert ended.code == 0
    assert "layer.restart" in ended.out.splitlines()


async def test_a_command_shows_an_example_that_can_be_sent(restow):
    ended = await restow("command", "show", "layer.scale")
    assert "restow command send layer.scale '{" in ended.out


async def test_an_unknown_command_is_told_with_near_ones(restow):
    ended = await restow("command", "show", "layer.scales")
    assert ended.code == 2
    assert "layer.scale" in ended.err
