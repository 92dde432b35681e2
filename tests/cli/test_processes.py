"""The processes of a region, started by hand: what keeps one from running is a sentence."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.problems import Exit
from handlers.bus import flush
from handlers.journal.stream import ensure
from handlers.nats_server import Server, ServerOptions, start

WITHIN_S = 100.0


@pytest.fixture
def unsafe(tmp_path: Path) -> Iterator[Server]:
    server = asyncio.run(start(ServerOptions(tmp_path / "unsafe", sync_always=False)))
    yield server
    server.stop()


async def run(*words: str, cwd: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "restow", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=cwd,
    )
    async with asyncio.timeout(WITHIN_S):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_an_engine_refuses_a_server_that_may_lose_what_it_acknowledged(unsafe, tmp_path):
    where = ("--url", unsafe.url, "--monitor", unsafe.monitor)
    code, said = await run("engine", "--name", "e1", *where, cwd=tmp_path)
    assert code == Exit.REFUSED
    assert "sync_interval" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("words", ["engine --name e1 --relaxed", "reader"])
async def test_who_reads_a_damaged_journal_stops_and_names_the_place(
    bus, subjects, nats_url, tmp_path, words
):
    await ensure(bus, subjects)
    await bus.publish(subjects.frames, b"not a frame")
    await flush(bus)

    where = ("--url", nats_url, "--prefix", subjects.prefix)
    code, said = await run(*words.split(), *where, cwd=tmp_path)

    assert code == Exit.DIFFERENT
    assert "is damaged at sequence 1 (position 1)" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("words", ["engine --name e1", "agent --host h01", "reader"])
async def test_without_a_bus_a_process_says_so(tmp_path, words):
    code, said = await run(*words.split(), "--url", "nats://127.0.0.1:1", cwd=tmp_path)
    assert code == Exit.UNREACHABLE
    assert "nats://127.0.0.1:1" in said
    assert "Traceback" not in said
