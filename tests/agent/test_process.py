"""The real process: it stops when told to, and its containers outlive it however it dies."""

import asyncio
import signal
import sys

import pytest

from handlers.agent.behaviour import Behaviour
from handlers.agent.process import run
from handlers.agent.records import RecordsInUseError
from tests.agent.fleet import H1, H2, START, Fleet

MAIN = """
import asyncio, sys
from pathlib import Path
from handlers.agent.behaviour import Behaviour
from handlers.agent.process import run
url, prefix, data = sys.argv[1:]
asyncio.run(run(["h01", "h02"], url=url, prefix=prefix, routing=True, data=Path(data),
                behaviour=Behaviour(speed=100.0)))
"""


@pytest.fixture
async def engine(bus, subjects, nats_url, tmp_path):
    fleet = Fleet(bus, subjects, nats_url, tmp_path)
    await fleet.listen()
    return fleet


async def process(fleet: Fleet, *, hosts: int = 3) -> asyncio.subprocess.Process:
    """Start a process with two hosts and the router, and wait until all have said hello."""
    fleet.hellos.clear()
    arguments = (fleet.url, fleet.subjects.prefix, str(fleet.data))
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", MAIN, *arguments)
    await fleet.until(lambda: len({hello.host for hello in fleet.hellos}) == hosts)
    return child


async def test_a_killed_process_loses_no_container(engine):
    child = await process(engine)
    await engine.done("o1", H1, START)
    await engine.until(engine.health)
    child.kill()
    await child.wait()
    engine.usages.clear()
    again = await process(engine)
    await engine.until(lambda: any(usage.containers for usage in engine.usages))
    sample = next(s for usage in engine.usages for s in usage.containers)
    assert (sample.restarts, sample.count > 0) == (0, True)
    assert {hello.incarnation for hello in engine.hellos} == {2}
    again.send_signal(signal.SIGTERM)
    assert await again.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_when_told_to(engine, number):
    child = await process(engine)
    child.send_signal(number)
    async with asyncio.timeout(10):
        assert await child.wait() == 0


async def test_two_processes_cannot_be_the_same_host(engine):
    child = await process(engine)
    with pytest.raises(RecordsInUseError, match="another agent of this host"):
        await run(
            [H2],
            url=engine.url,
            prefix=engine.subjects.prefix,
            routing=False,
            data=engine.data,
            behaviour=Behaviour(),
        )
    child.terminate()
    await child.wait()
