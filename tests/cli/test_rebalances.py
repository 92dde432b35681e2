"""Rebalances as they are typed and shown: previewed, watched to the end, listed."""

from typing import Any

from domain.problems import Exit

FORECAST = "2 moves of 4 cloudlets: uneven layers 1 -> 0, largest skew 3 -> 0, load 0..37 % -> 12 %"
BEGUN = {
    "status": "accepted",
    "command_id": "c-1",
    "operation_id": "rb1",
    "operation_ids": ["rb1"],
    "position": 7,
    "notices": [FORECAST],
}


def move(name: str, state: str, target: str = "h02", detail: str = "") -> dict[str, Any]:
    return {
        "container": name,
        "source": "h01",
        "target": target,
        "cloudlets": 2,
        "state": state,
        "migration": "",
        "detail": detail,
    }


def story(state: str, *moves: dict[str, Any], outcome: str = "") -> dict[str, Any]:
    states = [one["state"] for one in moves]
    details = [f"{one['container']}: {one['detail']}" for one in moves if one["detail"]]
    return {
        "id": "rb1",
        "goal": "both",
        "state": state,
        "outcome": outcome,
        "why": "op3 has it" if state == "waiting" else "",
        "detail": next(iter(details), ""),
        "todo": states.count("to come"),
        "moving": states.count("moving"),
        "moved": states.count("moved"),
        "failed": states.count("failed"),
        "skipped": states.count("skipped"),
        "left": 0,
        "uneven_before": 1,
        "uneven_planned": 0,
        "uneven_after": 0,
        "skew_before": 3,
        "skew_planned": 0,
        "skew_after": 1 if outcome else 0,
        "least_before": 0,
        "least_planned": 12,
        "least_after": 10 if outcome else 0,
        "most_before": 37,
        "most_planned": 12,
        "most_after": 20 if outcome else 0,
        "requested_at": 1_000,
        "finished_at": 3_500 if outcome else 0,
        "containers": moves,
    }


MOVING = story("running", move("node1", "moving"), move("node2", "to come", "h03"))
WAITING = story("waiting", move("node1", "moved"), move("node2", "to come", "h03"))
DONE = story(
    "finished",
    move("node1", "moved"),
    move("node2", "skipped", "h03", "host h03 is cordoned"),
    outcome="done",
)


SUMMARY = (
    "rb1 done: 1 moved, 1 skipped, 0 failed, uneven layers 1 -> 0, skew 3 -> 1,"
    " load 0..37 % -> 10..20 %, 2.5 s"
)


async def test_each_move_is_followed_to_the_end(restow, booth):
    booth.says("rebalance.start", BEGUN)
    booth.says("rebalance.show", MOVING, WAITING, DONE)

    ended = await restow("rebalance", "start", "--moves", "2", "--wait")

    assert booth.body("rebalance.start") == {"moves": 2}
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "rb1 accepted  position 7",
        f"{SUMMARY}: node2: host h03 is cordoned",
    ]
    assert ended.err.splitlines() == [
        f"note: {FORECAST}",
        "rb1 running: rebalance, 0 of 2 moved",
        "  node1  -> h02: moving",
        "rb1 waiting: rebalance, 1 of 2 moved, waits: op3 has it",
        "  node1  -> h02: moved",
        "rb1 done: rebalance, 1 of 2 moved",
        "  node2  -> h03: skipped  host h03 is cordoned",
    ]


async def test_one_that_failed_ends_with_1(restow, booth):
    failed = move("node1", "failed", detail="bad luck")
    booth.says("rebalance.show", story("finished", failed, outcome="failed"))

    ended = await restow("rebalance", "watch", "rb1")

    assert ended.code == Exit.FAILED
    assert "1 failed" in ended.out


async def test_without_waiting_it_says_how_to_watch(restow, booth):
    booth.says("rebalance.start", BEGUN)

    ended = await restow("rebalance", "start", "--no-wait")

    assert "restow rebalance watch rb1" in ended.err


async def test_waiting_too_long_says_how_to_go_on(restow, booth):
    booth.says("rebalance.show", MOVING)

    ended = await restow("rebalance", "watch", "rb1", "--timeout", "300ms")

    assert ended.code == Exit.WAIT_TIMED_OUT
    assert "restow rebalance watch rb1 | restow rebalance stop rb1" in ended.err


async def test_a_preview_is_a_dry_run_that_shows_the_moves(restow, booth):
    plan = [{"container": "node1", "source": "h01", "target": "h02", "cloudlets": 2}]
    event = {"type": "rebalance.requested", "data": {"rebalance": "rb1", "plan": plan}}
    booth.says("rebalance.start", {**BEGUN, "status": "planned", "plan": [event]})

    ended = await restow("rebalance", "preview", "--goal", "spread", "--hosts", "h01,h02")

    body = {"goal": "spread", "hosts": ["h01", "h02"], "dry_run": True}
    assert booth.body("rebalance.start") == body
    assert ended.out.splitlines() == [
        "planned, nothing was written; 1 event would be  position 7",
        "  + rebalance.requested  rebalance=rb1",
        "      node1 h01 -> h02, 2 cloudlets",
    ]
    assert f"note: {FORECAST}" in ended.err


async def test_where_nothing_is_to_move_it_says_why(restow, booth):
    said = {"status": "unchanged", "command_id": "c-1", "notices": ["nothing to move: it is even"]}
    booth.says("rebalance.start", said)

    ended = await restow("rebalance", "start", "--wait")

    assert ended.code == 0
    assert "unchanged" in ended.out
    assert "note: nothing to move: it is even" in ended.err


async def test_they_are_listed_and_shown(restow, booth):
    booth.says("rebalance.list", {"items": [MOVING, DONE], "position": 9})
    booth.says("rebalance.show", DONE)

    listed = await restow("rebalance", "list")
    shown = await restow("rebalance", "show", "rb1", "-o", "json")

    running, done = (line.split() for line in listed.out.splitlines()[1:])
    assert running[:3] == ["rb1", "running", "both"]
    assert " ".join(running[8:]).startswith("1 -> 0 3 -> 0 0..37% -> 12..12%")
    assert done[1] == "done"
    assert " ".join(done[8:]).startswith("1 -> 0 3 -> 1 0..37% -> 10..20%")
    assert shown.json["skew_after"] == 1
