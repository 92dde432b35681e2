"""Told to stop, an engine stops: whatever it was doing, soon, and with exit code 0."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.image import to_image
from domain.region import Region
from domain.subjects import Subjects
from handlers.bus import Bus, connect
from handlers.engine import standby
from handlers.journal import checkpoints
from handlers.journal.reader import Head
from handlers.journal.stream import ensure
from handlers.nats_server import Server, ServerOptions, start
from tests.engine.engines import Engines
from tests.engine.site import engine_of, site

SOON_S = 3.0


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Make reading a checkpoint take as long as the test: that of a huge region takes a while."""
    begun, ended = threading.Event(), threading.Event()

    def from_image(_: bytes) -> Region:
        begun.set()
        ended.wait()
        return Region()

    monkeypatch.setattr(standby, "from_image", from_image)
    yield begun
    ended.set()


async def test_an_engine_that_reads_a_huge_checkpoint_stops_at_once(
    bus: Bus, subjects: Subjects, endless: threading.Event
):
    await ensure(bus, subjects)
    await checkpoints.save(bus, subjects, Head(), to_image(Region()))
    stop = asyncio.Event()
    running = asyncio.create_task(engine_of(bus, subjects).run(stop))
    await asyncio.to_thread(endless.wait)
    stop.set()
    async with asyncio.timeout(SOON_S):
        await running


async def test_an_engine_that_catches_up_while_the_bus_is_away_stops_at_once(
    tmp_path: Path, subjects: Subjects
):
    server = await start(ServerOptions(tmp_path))
    bus = await connect(server.url, name="e1")
    await ensure(bus, subjects)
    engine, stop = engine_of(bus, subjects), asyncio.Event()
    server.kill()
    running = asyncio.create_task(engine.run(stop))
    await asyncio.sleep(0.5)
    assert not running.done()
    stop.set()
    async with asyncio.timeout(SOON_S):
        await running
    await bus.close()
    server.stop()


async def test_sigterm_ends_leader_and_standby_with_0(
    nats_server: Server, subjects: Subjects, tmp_path: Path
):
    engines = Engines(nats_server.url, [nats_server.monitor], subjects, tmp_path)
    async with site(nats_server.url, subjects, tmp_path) as place:
        engines.start("e1")
        await engines.leader(place)
        engines.start("e2")
        await engines.stands_by("e2", place)
        try:
            assert [await engines.end(name) for name in ("e1", "e2")] == [0, 0]
        finally:
            engines.stop()


async def test_an_engine_told_to_stop_before_it_has_begun_ends_by_that_signal(
    nats_server: Server, subjects: Subjects, tmp_path: Path
):
    engines = Engines(nats_server.url, [nats_server.monitor], subjects, tmp_path)
    engines.start("e1")
    try:
        assert await engines.end("e1") in (0, -signal.SIGTERM)
    finally:
        engines.stop()
