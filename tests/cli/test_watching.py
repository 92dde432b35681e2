"""Waiting for what a command began: what is shown meanwhile, and how it ends."""

import asyncio
import signal
import sys
from typing import Any

import pytest

from domain.problems import Exit

ACCEPTED = {
    "status": "accepted",
    "command_id": "c-1",
    "operation_id": "op3",
    "operation_ids": ["op3"],
    "position": 7,
}


def step(container: str, stage: str = "", outcome: str = "") -> dict[str, Any]:
    return {
        "container": container,
        "kind": "restart",
        "stage": stage,
        "outcome": outcome,
        "detail": "",
    }


def story(state: str, *steps: dict[str, Any], outcome: str = "") -> dict[str, Any]:
    outcomes = [one["outcome"] for one in steps]
    return {
        "id": "op3",
        "kind": "restart",
        "environment": "shop",
        "layer": "app",
        "state": state,
        "outcome": outcome,
        "detail": "",
        "paused": False,
        "done": outcomes.count("done"),
        "failed": outcomes.count("failed"),
        "skipped": outcomes.count("skipped"),
        "steps": steps,
        "requested_at": 1_000,
        "finished_at": 3_500 if outcome else 0,
    }


RUNNING = story("running", step("node1", "draining"), step("node2"))
HALF = story("delaying", step("node1", "", "done"), step("node2"))
DONE = story("finished", step("node1", "", "done"), step("node2", "", "done"), outcome="done")
FAILED = story(
    "finished", step("node1", "", "failed"), step("node2", "", "skipped"), outcome="failed"
)


def migration(state: str) -> dict[str, Any]:
    return {
        "id": "mv5",
        "container": "node1",
        "source": "h01",
        "target": "h02",
        "state": state,
        "waits_for": "",
        "detail": "",
        "phases": [{"phase": "frozen", "after_ms": 120}],
        "freeze_ms": 210,
        "total_ms": 330,
        "requested_at": 1_000,
        "finished_at": 0 if state == "moving" else 2_000,
    }


async def test_each_container_is_followed_to_the_end(restow, booth):
    booth.says("layer.restart", ACCEPTED)
    booth.says("operation.show", RUNNING, HALF, DONE)

    ended = await restow("layer", "restart", "shop/app", "--wait")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "op3 accepted  position 7",
        "op3 done: restart shop/app, 2 done, 0 failed, 0 skipped, 2.5 s",
    ]
    assert ended.err.splitlines() == [
        "op3 running: restart shop/app, 0 of 2 done",
        "  node1  restart: draining",
        "op3 delaying: restart shop/app, 1 of 2 done",
        "  node1  restart: done",
        "op3 done: restart shop/app, 2 of 2 done",
        "  node2  restart: done",
    ]


async def test_the_first_look_is_as_new_as_the_answer(restow, booth):
    booth.says("layer.restart", ACCEPTED)
    booth.says("operation.show", DONE)

    await restow("layer", "restart", "shop/app", "--wait")

    assert booth.body("operation.show") == {"operation": "op3", "min_position": 7}


async def test_every_operation_that_was_begun_is_waited_for(restow, booth):
    both = {**ACCEPTED, "operation_ids": ["op3", "op4"]}
    booth.says("environment.create", both)
    booth.says("operation.show", DONE, {**DONE, "id": "op4"})

    ended = await restow("env", "create", "shop", "--layer", "app", "--wait")

    assert [line.partition(" ")[0] for line in ended.out.splitlines()[1:]] == ["op3", "op4"]


async def test_an_operation_that_failed_ends_with_1(restow, booth):
    booth.says("operation.show", FAILED)

    ended = await restow("op", "watch", "op3")

    assert ended.code == Exit.FAILED
    assert "op3 failed: restart shop/app, 0 done, 1 failed, 1 skipped" in ended.out


async def test_a_migration_is_followed_through_its_phases(restow, booth):
    booth.says("container.migrate", {**ACCEPTED, "operation_id": "mv5", "operation_ids": ["mv5"]})
    booth.says("migration.show", migration("moving"), migration("completed"))

    ended = await restow("ct", "migrate", "node1", "--wait")

    assert ended.code == 0
    assert "mv5 completed: node1 h01 -> h02, frozen 210 ms, 330 ms in all" in ended.out
    assert "frozen  120 ms" in ended.err


async def test_a_migration_that_came_back_ends_with_1(restow, booth):
    booth.says("migration.show", migration("reverted"))
    assert (await restow("op", "watch", "mv5")).code == Exit.FAILED


async def test_waiting_too_long_ends_with_6_and_the_work_goes_on(restow, booth):
    booth.says("operation.show", RUNNING)

    ended = await restow("op", "watch", "op3", "--timeout", "500ms")

    assert ended.code == Exit.WAIT_TIMED_OUT
    assert "op3 was not over after 0.5 s; it continues" in ended.err
    assert "restow op watch op3 | restow op cancel op3" in ended.err


async def test_an_unknown_operation_ends_with_3(restow, booth):
    gone = {"code": "operation.not_found", "status": 404, "detail": "", "type": "", "title": ""}
    booth.says("operation.show", gone)
    assert (await restow("op", "watch", "op99")).code == Exit.NOT_FOUND


async def test_a_read_side_that_is_away_for_a_while_is_waited_for(restow, booth):
    away = {"code": "bus.unavailable", "status": 503, "detail": "", "type": "", "title": ""}
    booth.says("operation.show", RUNNING, away, away, DONE)
    assert (await restow("op", "watch", "op3")).code == 0


@pytest.mark.parametrize(("name", "verb"), [("op3", "operation"), ("mv5", "migration")])
async def test_ctrl_c_leaves_the_work_running_and_says_how_to_go_on(
    booth, nats_url, prefix, name, verb
):
    booth.says("operation.show", RUNNING)
    booth.says("migration.show", migration("moving"))
    watching = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "restow", "op", "watch", name),
        *("--url", nats_url, "--prefix", prefix),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        while not booth.heard:
            await asyncio.sleep(0.02)
        watching.send_signal(signal.SIGINT)
        out, said = await watching.communicate()

    assert watching.returncode == Exit.INTERRUPTED
    assert out == b""
    cancel = " | restow op cancel op3" if verb == "operation" else ""
    assert f"{name} continues. restow op watch {name}{cancel}" in said.decode().splitlines()
    assert {heard for heard, _ in booth.heard} == {f"{verb}.show"}
