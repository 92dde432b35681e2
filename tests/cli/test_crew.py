"""Processes that belong together: kept up, stopped together, never left behind."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from restow.crew import Member, MemberEndedError, crew

PATIENCE_S = 15.0

SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('up', flush=True); time.sleep(600)"
    ),
)
FAILING = (sys.executable, "-c", "import sys; sys.exit('no room on the quay')")


async def until(true: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up, what
        await asyncio.sleep(0.02)


def is_up(log: Path) -> bool:
    return log.exists() and "up" in log.read_text()


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_at_the_end_of_the_block_nothing_runs(tmp_path):
    async with crew(tmp_path, print) as members:
        first = await members.start(Member("first", SLEEPER))
        second = await members.start(Member("second", SLEEPER))
        assert members.pids == {"first": first, "second": second}
        assert runs(first)
        assert runs(second)

    assert not runs(first)
    assert not runs(second)


async def test_a_process_has_a_group_of_its_own(tmp_path):
    async with crew(tmp_path, print) as members:
        pid = await members.start(Member("one", SLEEPER))
        assert os.getpgid(pid) == pid


async def test_a_crashed_process_is_started_again_and_that_is_said(tmp_path):
    said: list[str] = []
    pids: list[int] = []
    async with crew(tmp_path, said.append) as members:
        members.on_change(lambda: pids.append(members.pids["one"]))
        first = await members.start(Member("one", SLEEPER))
        await until(lambda: is_up(members.log("one")), "it starts")

        assert members.kill("one") == first

        await until(lambda: len(pids) > 1, "it is started again")
        assert runs(pids[-1])
        assert pids[-1] != first
    assert [line for line in said if "one ended by SIGKILL" in line and "started again" in line]
    assert not runs(pids[-1])


async def test_the_backoff_grows_while_it_crashes(tmp_path):
    said: list[str] = []
    async with crew(tmp_path, said.append) as members:
        await members.start(Member("one", FAILING))
        await until(lambda: len(said) > 1, "two crashes are said")

    waits = [line.partition("again in ")[2].partition(" s")[0] for line in said]
    assert waits[:2] == ["0.5", "1.0"]


async def test_a_process_that_is_not_kept_ends_the_crew_with_its_last_words(tmp_path):
    async def run() -> None:
        async with crew(tmp_path, print) as members:
            await members.start(Member("one", FAILING, kept=False))
            await asyncio.sleep(PATIENCE_S)

    with pytest.raises(MemberEndedError, match="ended with code 1\nno room on the quay"):
        await run()


async def test_who_does_not_listen_is_killed_after_the_grace(tmp_path, monkeypatch):
    monkeypatch.setattr("restow.crew.GRACE_S", 0.3)
    said: list[str] = []
    async with crew(tmp_path, said.append) as members:
        pid = await members.start(Member("one", STUBBORN))
        await until(lambda: is_up(members.log("one")), "it ignores SIGTERM")

    assert not runs(pid)
    assert any("killed" in line for line in said)


async def test_one_that_is_stopped_is_not_started_again(tmp_path):
    async with crew(tmp_path, print) as members:
        pid = await members.start(Member("one", SLEEPER))
        await members.stop(["one"])
        assert not runs(pid)
        assert members.pids == {}


async def test_killing_the_crew_kills_its_processes(tmp_path):
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from restow.crew import Member, crew\n"
        "async def main():\n"
        "    async with crew(Path(sys.argv[1]), print) as members:\n"
        f"        print(await members.start(Member('one', {SLEEPER!r})), flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    await until(lambda: is_up(tmp_path / "one.log"), "it starts")

    parent.kill()
    await parent.wait()

    await until(lambda: not runs(pid), "the kernel ends it too")
