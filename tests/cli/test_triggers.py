"""Triggers as they are typed and shown: listed, their history, tried on usage that was recorded."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.agent import Sample, Usage
from domain.messages import ContainerId, HostId, Instant
from domain.problems import Exit
from domain.subjects import Subjects
from handlers.bus import Bus, request
from handlers.journal.stream import ensure

AT = 1_790_000_000_000
TRIGGER = {
    "id": "tr1",
    "environment": "shop",
    "layer": "app",
    "resource": "cpu",
    "state": "watching",
    "add_above": 70,
    "remove_below": None,
    "add": 2,
    "remove": 1,
    "min_count": 2,
    "max_count": 6,
    "window_s": 60,
    "cooldown_s": 300,
}
MEMORY = {**TRIGGER, "resource": "memory", "window_s": 10, "cooldown_s": 30, "full": None}
FIRED = {
    "position": 40,
    "at": AT,
    "trigger": "tr1",
    "environment": "shop",
    "layer": "app",
    "resource": "cpu",
    "why": "usage",
    "usage": 81,
    "since": AT - 60_000,
    "count": 2,
    "wanted": 4,
    "operation": "op7",
    "outcome": "done",
    "came_to": 4,
    "detail": "",
}
CONTAINERS = [{"id": "node1", "limit": 8}, {"id": "node2", "limit": 8}]


def page(*items: dict[str, Any]) -> dict[str, Any]:
    return {"items": items, "position": 42}


def recorded(percent: int = 90, rounds: int = 20) -> Iterator[bytes]:
    """Give what two hosts said, as it goes over the bus."""
    for second in range(0, rounds * 5, 5):
        for number in (1, 2):
            used = Sample(ContainerId(f"node{number}"), 0, percent * 8 * 128 // 100, 0, 0)
            other = Sample(ContainerId("node9"), 0, 0, 0, 0)
            usage = Usage(HostId(f"h{number}"), Instant(AT + second * 1_000), (used, other))
            yield msgspec.json.encode(usage)


async def test_a_list_says_what_each_adds_and_removes(restow, booth):
    booth.says("trigger.list", page(TRIGGER))

    shown = await restow("trigger", "list", "shop/app")

    assert booth.body("trigger.list")["layer"] == "app"
    head, line = shown.out.splitlines()
    assert head.split()[:6] == ["TRIGGER", "LAYER", "RESOURCE", "STATE", "ADDS", "REMOVES"]
    assert "tr1      shop/app  cpu       watching  +2 >70%  -        2..6" in line


async def test_one_that_rests_says_for_how_long(restow, booth):
    soon = time.time_ns() // 1_000_000 + 119_000
    booth.says("trigger.list", page({**TRIGGER, "ready_at": soon}))

    shown = await restow("trigger", "list")

    assert "rests 11" in shown.out


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("tr1", {"trigger": "tr1"}),
        ("shop/app", {"environment": "shop", "layer": "app"}),
        ("shop", {"environment": "shop"}),
        ("trap", {"environment": "trap"}),
    ],
)
async def test_history_is_of_a_trigger_a_layer_or_an_environment(restow, booth, name, asked):
    booth.says("trigger.history", page(FIRED))

    shown = await restow("trigger", "history", name)

    body = booth.body("trigger.history")
    assert {key: body[key] for key in asked} == asked
    assert "usage  81%    60s  2 -> 4  done     op7        4" in shown.out


async def test_one_trigger_is_shown(restow, booth):
    booth.says("trigger.show", TRIGGER)

    shown = await restow("trigger", "show", "tr1")

    assert "state         watching" in shown.out


class TestTry:
    RULE = ("--resource", "memory", "--add-above", "70", "--min", "2", "--window", "10s")

    async def test_on_a_file(self, restow, booth, tmp_path: Path):
        booth.says("container.list", page(*CONTAINERS))
        file = tmp_path / "usage.jsonl"
        file.write_bytes(b"\n".join(recorded()))

        shown = await restow("trigger", "try", "shop/app", *self.RULE, "--usage", str(file))

        assert shown.code == 0
        first, second, head, line = shown.out.splitlines()
        assert first.startswith("shop/app from 14:13:20 to 14:14:55 UTC: usage 60 % to 90 %")
        assert second == "would have fired 1 times; 3 containers at the end"
        assert head.split() == ["AT", "WHAT", "COUNT", "USAGE", "SINCE", "WHY"]
        assert "fires  2 -> 3  90%" in line

    async def test_on_what_the_bus_has_kept(self, restow, booth, bus: Bus, subjects: Subjects):
        booth.says("container.list", page(*CONTAINERS))
        await ensure(bus, subjects)
        for data in recorded():
            await request(bus, subjects.usage("h1"), data)  # the stream acknowledges it
        await request(bus, subjects.usage("h1"), b"{")

        shown = await restow("trigger", "try", "shop/app", *self.RULE, "-o", "json")

        assert shown.json["looks"] == 19, shown
        (fired,) = shown.json["firings"]
        assert (fired["count"], fired["wanted"]) == (2, 3)

    async def test_what_its_bounds_forbid_is_said(self, restow, booth, tmp_path: Path):
        booth.says("container.list", page(*CONTAINERS))
        file = tmp_path / "usage.jsonl"
        file.write_bytes(b"\n".join(recorded()))
        rule = (*self.RULE, "--max", "2", "--usage", str(file))

        shown = await restow("trigger", "try", "shop/app", *rule)

        assert "would have fired 0 times, 2 refused at its bounds; 2 containers" in shown.out

    async def test_in_a_calm_nothing_would_have_happened(self, restow, booth, tmp_path: Path):
        booth.says("container.list", page(*CONTAINERS))
        file = tmp_path / "usage.jsonl"
        file.write_bytes(b"\n".join(recorded(50)))

        shown = await restow("trigger", "try", "shop/app", *self.RULE, "--usage", str(file))

        assert shown.out.splitlines()[1:] == ["would have fired 0 times; 2 containers at the end"]

    async def test_where_nothing_was_recorded_that_is_said(
        self, restow, booth, bus: Bus, subjects: Subjects
    ):
        booth.says("container.list", page())
        await ensure(bus, subjects)

        shown = await restow("trigger", "try", "shop/app", *self.RULE)

        assert (shown.code, shown.out) == (0, "")
        assert "no usage of shop/app was recorded" in shown.err

    async def test_a_rule_that_is_none_is_refused_as_the_engine_would(self, restow):
        shown = await restow("trigger", "try", "shop/app", "--min", "2")

        assert shown.code == Exit.USAGE
        assert "give add_above" in shown.err

    async def test_a_file_that_is_none_is_refused(self, restow, booth, tmp_path: Path):
        booth.says("container.list", page(*CONTAINERS))
        (tmp_path / "usage.jsonl").write_bytes(b'{"a": 1}\n')

        for name in ("usage.jsonl", "nowhere.jsonl"):
            rule = (*self.RULE, "--usage", str(tmp_path / name))
            shown = await restow("trigger", "try", "shop/app", *rule)
            assert shown.code == Exit.USAGE
            assert name in shown.err


class TestWhatIf:
    """Usage under another trigger, beside the one that is set."""

    WORDS = ("what-if", "--trigger", "shop/app", "--resource", "memory")

    @pytest.fixture
    def file(self, booth, tmp_path: Path) -> str:
        booth.says("container.list", page(*CONTAINERS))
        booth.says("trigger.list", page(TRIGGER, MEMORY))
        file = tmp_path / "usage.jsonl"
        file.write_bytes(b"\n".join(recorded()))
        return str(file)

    async def test_both_sides_are_shown_and_what_only_one_has(self, restow, file):
        shown = await restow(*self.WORDS, "--add", "1", "--max", "3", "--usage", file)

        assert shown.code == 0, shown.err
        rows = {line.split("  ")[0]: line.split()[-2:] for line in shown.out.splitlines()}
        assert shown.out.startswith("shop/app memory from 14:13:20 to 14:14:55 UTC")
        assert rows["containers added"] == ["2", "1"]
        assert rows["most containers"] == ["4", "3"]
        assert "as set   2 -> 4  90%" in shown.out
        assert "what if  2 -> 3  90%" in shown.out

    @pytest.mark.parametrize("same", [(), ("--add-above", "70", "--add", "2")])
    async def test_under_the_same_trigger_there_is_no_difference(self, restow, file, same):
        told = (await restow(*self.WORDS, *same, "--usage", file, "-o", "json")).json

        assert (told["different"], told["firings"]) == (0, [])
        assert told["recorded"] == told["other"]
        assert told["recorded"]["added"] == 2

    async def test_where_none_is_set_nothing_was_added(self, restow, booth, file):
        booth.says("trigger.list", page(TRIGGER))
        rule = ("--add-above", "70", "--window", "10s")
        told = (await restow(*self.WORDS, *rule, "--usage", file, "-o", "json")).json

        assert told["recorded"]["added"] == told["recorded"]["refused"] == 0
        assert told["other"]["added"] == 1

    async def test_what_makes_no_sense_is_refused(self, restow, booth, file):
        both = await restow(*self.WORDS, "--policy", "pack")
        above = await restow(*self.WORDS, "--remove-below", "60", "--usage", file)
        booth.says("container.list", page())
        nothing = await restow(*self.WORDS, "--usage", file)

        assert (both.code, above.code) == (Exit.USAGE, Exit.REFUSED)
        assert "neither --policy" in both.err
        assert "20 points" in above.err
        assert (nothing.code, nothing.out) == (0, "")
        assert "no usage of shop/app was recorded" in nothing.err
