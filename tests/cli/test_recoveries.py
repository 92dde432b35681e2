"""Recoveries as they are typed and shown: asked for, watched to the end, listed."""

from typing import Any

from domain.problems import Exit

BEGUN = {
    "status": "accepted",
    "command_id": "c-1",
    "operation_id": "rc1",
    "operation_ids": ["rc1"],
    "position": 7,
}


def container(name: str, state: str, target: str = "", detail: str = "") -> dict[str, Any]:
    return {"container": name, "state": state, "target": target, "detail": detail}


def story(state: str, *containers: dict[str, Any], outcome: str = "") -> dict[str, Any]:
    states = [one["state"] for one in containers]
    return {
        "id": "rc1",
        "kind": "recovery of",
        "host": "h01",
        "state": state,
        "outcome": outcome,
        "why": "no host has 4 cloudlets free" if state == "waiting" else "",
        "detail": "no host has 4 cloudlets free" if outcome == "failed" else "",
        "todo": states.count("to come"),
        "starting": states.count("starting"),
        "restarted": states.count("restarted"),
        "left": states.count("unplaced"),
        "requested_at": 1_000,
        "finished_at": 3_500 if outcome else 0,
        "containers": containers,
    }


STARTING = story("running", container("node1", "starting", "h02"), container("node2", "to come"))
WAITING = story("waiting", container("node1", "restarted", "h02"), container("node2", "to come"))
DONE = story(
    "finished",
    container("node1", "restarted", "h02"),
    container("node2", "restarted", "h03"),
    outcome="done",
)
FAILED = story(
    "finished",
    container("node1", "restarted", "h02"),
    container("node2", "unplaced", detail="no host has 4 cloudlets free"),
    outcome="failed",
)


async def test_each_container_is_followed_to_the_end(restow, booth):
    booth.says("host.recover", BEGUN)
    booth.says("recovery.show", STARTING, WAITING, DONE)

    ended = await restow("host", "recover", "h01", "--wait")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "rc1 accepted  position 7",
        "rc1 done: recovery of h01, 2 restarted, 0 left, 2.5 s",
    ]
    assert ended.err.splitlines() == [
        "rc1 running: recovery of h01, 0 of 2 restarted",
        "  node1  -> h02: starting",
        "rc1 waiting: recovery of h01, 1 of 2 restarted, waits: no host has 4 cloudlets free",
        "  node1  -> h02: restarted",
        "rc1 done: recovery of h01, 2 of 2 restarted",
        "  node2  -> h03: restarted",
    ]


async def test_one_that_leaves_something_ends_with_what_is_left(restow, booth):
    booth.says("recovery.show", FAILED)

    ended = await restow("recovery", "watch", "rc1")

    assert ended.code == Exit.FAILED
    assert "rc1 failed: recovery of h01, 1 restarted, 1 left, 2.5 s: no host has" in ended.out


async def test_without_waiting_the_way_to_watch_it_is_told(restow, booth):
    booth.says("host.recover", BEGUN)

    ended = await restow("host", "recover", "h01", "--no-wait")

    assert "restow recovery watch rc1" in ended.err


async def test_one_that_takes_too_long_continues(restow, booth):
    booth.says("recovery.show", STARTING)

    ended = await restow("recovery", "watch", "rc1", "--timeout", "300ms")

    assert ended.code == Exit.WAIT_TIMED_OUT
    assert "restow recovery watch rc1" in ended.err


async def test_recoveries_are_listed(restow, booth):
    booth.says("recovery.list", {"items": [FAILED], "position": 9})

    ended = await restow("recovery", "list")

    assert "rc1" in ended.out
    assert "failed" in ended.out


async def test_one_is_shown_with_its_containers(restow, booth):
    booth.says("recovery.show", FAILED)

    ended = await restow("recovery", "show", "rc1")

    assert "unplaced" in ended.out


async def test_a_host_is_taken_for_dead_only_when_that_is_meant(restow, booth):
    booth.says("host.show", {"id": "h01", "containers": 3})
    booth.says("host.lose", {**BEGUN, "status": "done", "operation_id": "", "operation_ids": []})

    ended = await restow("host", "lose", "h01", "--yes", "--reason", "it burnt")

    assert ended.code == 0
