"""Evacuations as they are typed and shown: previewed, watched to the end, listed; feasibility."""

from typing import Any

import pytest

from domain.problems import Exit

BEGUN = {
    "status": "accepted",
    "command_id": "c-1",
    "operation_id": "ev1",
    "operation_ids": ["ev1"],
    "position": 7,
    "notices": ["feasible: there is a place for each of 2 containers"],
}


def container(name: str, state: str, target: str = "", detail: str = "") -> dict[str, Any]:
    return {"container": name, "state": state, "target": target, "detail": detail}


def story(state: str, *containers: dict[str, Any], outcome: str = "") -> dict[str, Any]:
    states = [one["state"] for one in containers]
    return {
        "id": "ev1",
        "kind": "evacuate",
        "host": "h01",
        "state": state,
        "outcome": outcome,
        "why": "op3 has it" if state == "waiting" else "",
        "detail": "1 cloudlets short" if outcome == "failed" else "",
        "missing_cloudlets": states.count("failed"),
        "todo": states.count("to come"),
        "moving": states.count("moving"),
        "moved": states.count("moved"),
        "failed": states.count("failed"),
        "left": 0,
        "requested_at": 1_000,
        "finished_at": 3_500 if outcome else 0,
        "containers": containers,
    }


MOVING = story("running", container("node1", "moving", "h02"), container("node2", "to come"))
WAITING = story("waiting", container("node1", "moved", "h02"), container("node2", "to come", "h03"))
DONE = story(
    "finished",
    container("node1", "moved", "h02"),
    container("node2", "moved", "h03"),
    outcome="done",
)
FAILED = story(
    "finished",
    container("node1", "moved", "h02"),
    container("node2", "failed", detail="fits no host"),
    outcome="failed",
)


async def test_each_container_is_followed_to_the_end(restow, booth):
    booth.says("host.evacuate", BEGUN)
    booth.says("evacuation.show", MOVING, WAITING, DONE)

    ended = await restow("host", "evacuate", "h01", "--wait")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "ev1 accepted  position 7",
        "ev1 done: evacuate h01, 2 moved, 0 failed, 0 left, 2.5 s",
    ]
    assert ended.err.splitlines() == [
        "note: feasible: there is a place for each of 2 containers",
        "ev1 running: evacuate h01, 0 of 2 moved",
        "  node1  -> h02: moving",
        "ev1 waiting: evacuate h01, 1 of 2 moved, waits: op3 has it",
        "  node1  -> h02: moved",
        "ev1 done: evacuate h01, 2 of 2 moved",
        "  node2  -> h03: moved",
    ]


async def test_one_that_failed_ends_with_1_and_says_what_is_missing(restow, booth):
    booth.says("evacuation.show", FAILED)

    ended = await restow("evacuation", "watch", "ev1")

    assert ended.code == Exit.FAILED
    assert ended.out == (
        "ev1 failed: evacuate h01, 1 moved, 1 failed, 0 left, 1 cloudlets missing, 2.5 s:"
        " 1 cloudlets short\n"
    )
    assert "node2  -> -: failed  fits no host" in ended.err


async def test_without_waiting_it_says_how_to_watch(restow, booth):
    booth.says("host.restore", BEGUN)

    ended = await restow("host", "restore", "h01", "--no-wait")

    assert "restow evacuation watch ev1" in ended.err


async def test_waiting_too_long_says_how_to_go_on(restow, booth):
    booth.says("evacuation.show", MOVING)

    ended = await restow("op", "watch", "ev1", "--timeout", "300ms")

    assert ended.code == Exit.WAIT_TIMED_OUT
    assert "restow evacuation watch ev1 | restow evacuation stop ev1" in ended.err


async def test_a_dry_run_says_whether_it_can_be_done(restow, booth):
    plan = [{"container": "node1", "target": "h02"}, {"container": "node2"}]
    event = {"type": "evacuation.requested", "data": {"evacuation": "ev1", "plan": plan}}
    booth.says("host.evacuate", {**BEGUN, "status": "planned", "plan": [event]})

    ended = await restow("host", "evacuate", "h01", "--dry-run")

    assert booth.body("host.evacuate") == {"host": "h01", "dry_run": True}
    assert ended.out.splitlines()[0] == (
        "planned, nothing was written; 1 event would be  position 7"
    )
    assert "note: feasible: there is a place for each of 2 containers" in ended.err


async def test_they_are_listed_and_shown(restow, booth):
    booth.says("evacuation.list", {"items": [MOVING, DONE], "position": 9})
    booth.says("evacuation.show", DONE)

    listed = await restow("evacuation", "list", "-o", "wide")
    shown = await restow("evacuation", "show", "ev1", "-o", "json")

    assert [line.split()[:4] for line in listed.out.splitlines()[1:]] == [
        ["ev1", "evacuate", "h01", "running"],
        ["ev1", "evacuate", "h01", "done"],
    ]
    assert shown.json["host"] == "h01"


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("host feasibility", {"limit": 1_000}),
        (
            "host feasibility h01 --to h02,h03",
            {"host": "h01", "targets": ["h02", "h03"], "limit": 1_000},
        ),
    ],
)
async def test_feasibility_is_asked_of_one_host_or_of_each(restow, booth, line, body):
    verdict = {
        "id": "h01",
        "state": "active",
        "answer": "infeasible",
        "containers": 3,
        "placed": 2,
        "missing_cloudlets": 5,
        "missing_disk_gib": 0,
        "why": "node1 fits no host",
        "left": ["node1"],
        "places": [],
    }
    booth.says("host.feasibility", {"items": [verdict], "position": 9})

    ended = await restow(*line.split())

    assert booth.body("host.feasibility") == body
    assert ended.out.splitlines()[1].split()[:6] == ["h01", "active", "infeasible", "3", "2", "5"]
