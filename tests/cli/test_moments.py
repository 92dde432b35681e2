"""Reading as it was, as it changes, and while the read side comes and goes."""

import asyncio
import sys
from typing import Any

import msgspec
import pytest

from domain.decider import Ask
from domain.host import RegisterHost
from domain.messages import AskId, Code, Instant
from domain.region import Region
from handlers.journal.reader import Head
from handlers.journal.stream import ensure
from handlers.journal.writer import Writer
from projections.moments import Moment
from restow.cli import redraw
from restow.cli.exits import UsageError
from restow.cli.moments import moment

NOON = 1_700_000_000_000
HOSTS = ("north", "east", "south")


@pytest.fixture
async def history(bus, subjects):
    """A journal that registers three hosts, a minute apart; two of them in one frame."""
    await ensure(bus, subjects)
    writer = await Writer.take_over(bus, subjects, Head())
    region = Region()
    commits = [
        region.decide(
            Ask(AskId(name), RegisterHost(host=name, memory_mib=1_024, cpu_mhz=4_000, disk_gib=10)),
            Instant(NOON + 60_000 * number),
        )
        for number, name in enumerate(HOSTS)
    ]
    await writer.append(commits[:2])
    await writer.append(commits[2:])
    await writer.close()


@pytest.mark.usefixtures("history")
class TestAt:
    @pytest.mark.parametrize(
        ("at", "names"),
        [
            ("0", []),
            ("1", ["north"]),
            ("2", ["east", "north"]),
            ("3", ["east", "north", "south"]),
            ("2023-11-14T22:13:20Z", ["north"]),
            ("2023-11-14T23:14:20+01:00", ["east", "north"]),
            ("-1s", ["east", "north", "south"]),
        ],
    )
    async def test_a_list_is_as_it_was(self, restow, at, names):
        ended = await restow("host", "list", "--at", at, "-o", "name")

        assert (ended.code, ended.out.split(), ended.err) == (0, names, "")

    async def test_one_thing_is_as_it_was(self, restow):
        assert (await restow("host", "show", "south", "--at", "3", "-o", "json")).json["free"] == 8
        ended = await restow("host", "show", "south", "--at", "2")

        assert ended.code == 3
        assert "host.not_found" in ended.err

    async def test_events_and_commands_are_as_they_were(self, restow):
        events = await restow("event", "list", "--at", "2", "-o", "name")
        asked = await restow("command", "asked", "--at", "1", "-o", "name")

        assert sorted(events.out.split()) == ["1", "2"]
        assert asked.out.split() == ["north"]

    async def test_beyond_the_end_it_says_which_moment_it_is(self, restow):
        ended = await restow("host", "list", "--at", "99", "-o", "name")

        assert ended.out.split() == ["east", "north", "south"]
        assert "as of position 3, the last one before 99" in ended.err

    @pytest.mark.parametrize("flags", [["--watch"], ["--min-position", "2"]])
    async def test_the_past_does_not_change(self, restow, flags):
        ended = await restow("host", "list", "--at", "2", *flags)

        assert ended.code == 2
        assert "--at is about the past" in ended.err


def test_a_moment_is_a_position_a_time_or_so_long_ago():
    assert moment("17", NOON) == Moment(position=17)
    assert moment("-2m", NOON) == Moment(at=Instant(NOON - 120_000))
    assert moment("2023-11-14T22:13:20Z", 0) == Moment(at=Instant(NOON))


@pytest.mark.parametrize("text", ["yesterday", "2m", "2023-11-14T22:13:20", "", "-"])
def test_what_is_no_moment_is_told_how_to_write_one(text):
    with pytest.raises(UsageError, match="write a position, -2m, or 2026"):
        moment(text, NOON)


def page(*names: str, free: int = 1) -> dict[str, Any]:
    return {"items": [{"id": name, "free": free} for name in names], "position": 7}


class Typed:
    """A command line that goes on until it is told to stop."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def lines(self, count: int) -> list[str]:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            return [(await self.process.stdout.readline()).decode().rstrip() for _ in range(count)]

    async def said(self, words: str) -> None:
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while words not in (line := (await self.process.stderr.readline()).decode()):
                assert line, f"{words!r} was not said"


@pytest.fixture
async def typed(nats_url, prefix):
    """Return what types a command line that does not end by itself."""
    running: list[asyncio.subprocess.Process] = []

    async def start(*words: str) -> Typed:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "restow", *words, "--url", nats_url, "--prefix", prefix),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        running.append(process)
        return Typed(process)

    yield start
    for process in running:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class TestWatch:
    async def test_a_table_is_shown_again_when_it_has_changed(self, typed, booth):
        booth.says("host.list", page("a"), page("a"), page("a", "b"))
        shown = await (await typed("host", "list", "--watch")).lines(6)

        assert [line.split()[:1] for line in shown] == [["HOST"], ["a"], [], ["HOST"], ["a"], ["b"]]

    async def test_as_json_each_change_is_a_line(self, typed, booth):
        booth.says("host.list", page("a", "b"), page("b", "c"), page("c", free=5))
        shown = await (await typed("host", "list", "-w", "-o", "jsonl")).lines(6)

        assert [msgspec.json.decode(line) for line in shown] == [
            *({"id": "a", "free": 1}, {"id": "b", "free": 1}),
            *({"id": "c", "free": 1}, {"gone": "a"}),
            *({"id": "c", "free": 5}, {"gone": "b"}),
        ]

    async def test_one_thing_can_be_watched(self, typed, booth):
        booth.says("host.show", {"id": "a", "free": 1}, {"id": "a", "free": 2})
        shown = await (await typed("host", "show", "a", "-w")).lines(5)

        assert shown == ["id    a", "free  1", "", "id    a", "free  2"]

    async def test_a_read_side_that_goes_away_is_waited_for(self, typed, booth):
        booth.says("host.list", page("a"), busy(), page("a", "b"))
        watching = await typed("host", "list", "-w", "-o", "name")
        await watching.said("asking again for 60 s")
        await watching.said("the read side is back")

        assert await watching.lines(2) == ["a", "b"]


def busy() -> dict[str, Any]:
    """Return what a read side says that has too much to do."""
    return {
        "code": Code.RATE_LIMITED.value,
        "status": 429,
        "detail": "later",
        "type": "docs/errors.md#rate-limited",
        "title": "Too much at once",
    }


class TestTail:
    async def test_events_go_on_where_they_stopped_when_the_read_side_is_back(self, typed, booth):
        events = [
            {"position": n, "stream": "host.a", "type": "host.rated", "data": {"load_mark": n}}
            for n in (8, 9)
        ]
        booth.says("status", {"position": 7})
        booth.says(
            "event.list",
            {"items": events[:1], "position": 8},
            busy(),
            {"items": events[1:], "position": 9},
            {"items": [], "position": 9},
        )
        tailing = await typed("event", "tail", "-o", "name")
        await tailing.said("the read side is back")

        assert await tailing.lines(2) == ["8", "9"]
        asked = [body["after"] for name, body in booth.heard if name == "event.list"]
        assert asked[:3] == [7, 8, 8]

    async def test_without_a_read_side_it_ends_with_7_and_says_so(self, restow):
        ended = await restow("event", "tail")

        assert ended.code == 7
        assert "no read side is running" in ended.err

    async def test_a_read_side_that_stays_away_ends_it(self, restow, booth, monkeypatch):
        monkeypatch.setattr(redraw, "AWAY_S", 0.2)
        monkeypatch.setattr(redraw, "AGAIN_S", 0.05)
        booth.says("status", {"position": 7})
        booth.says("event.list", {"items": [], "position": 8}, busy())
        ended = await restow("event", "tail")

        assert ended.code == 1
        assert "rate.limited" in ended.err


class TestCompletion:
    async def test_names_are_offered_as_they_are_now(self, restow, booth):
        booth.says("host.list", page("h01", "h02"))
        booth.says("layer.list", {"items": [{"environment": "shop", "name": "app"}], "position": 1})

        assert "h01" in (await restow("__complete", "host", "show", "")).out
        assert "shop/app" in (await restow("__complete", "layer", "restart", "")).out

    async def test_without_a_region_none_are_offered_and_nothing_is_said(self, restow, monkeypatch):
        monkeypatch.setenv("RESTOW_URL", "nats://127.0.0.1:1")
        ended = await restow("__complete", "host", "show", "")

        assert "h0" not in ended.out
        assert (ended.code, ended.err) == (0, "")

    async def test_a_script_can_be_installed(self, restow, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path))
        ended = await restow("completion", "bash", "--install")

        assert ended.code == 0
        assert [path for path in tmp_path.rglob("*restow*") if path.is_file()]
