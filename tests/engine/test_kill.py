"""kill -9 of the engine, real processes on a real server: the standby finishes, nothing twice.

Every single event is killed after in `tests/simulation`; here a sample shows that the processes
keep what the simulation promises.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.invariants import broken
from domain.messages import ContainerId
from domain.subjects import Subjects
from handlers.journal.reader import Head, follow
from handlers.nats_server import Server
from tests.engine.engines import Engines
from tests.engine.site import SHOP, Site, members, migration, operation, site

AFTER = (1, 4, 9, 15, 22, 30)
"""After how many events of the story the active engine is killed."""


@asynccontextmanager
async def region(server: Server, subjects: Subjects, folder: Path) -> AsyncIterator[Site]:
    async with site(server.url, subjects, folder / "agents") as place:
        yield place


async def killed_after(place: Site, engines: Engines, events: int) -> None:
    """Kill the leader when the journal has grown by this many events."""
    start = (await place.region()).position
    async with asyncio.timeout(60):
        async for head, _ in follow(place.bus, place.subjects, Head()):
            if head.position >= start + events:
                break
    await engines.kill_leader(place)


@pytest.mark.timeout(300)
async def test_a_restart_and_a_migration_outlive_the_engine_wherever_it_is_killed(
    nats_server: Server, subjects: Subjects, tmp_path: Path
):
    engines = Engines(nats_server.url, [nats_server.monitor], subjects, tmp_path)
    engines.start("e1")
    engines.start("e2")
    try:
        async with region(nats_server, subjects, tmp_path) as place:
            await place.agents(6)
            await place.done("environment.create", **SHOP)
            await place.quiet()
            for turn, events in enumerate(AFTER, start=1):
                await story(place, engines, turn, events)
    finally:
        engines.stop()


async def story(place: Site, engines: Engines, turn: int, events: int) -> None:
    killing = asyncio.create_task(killed_after(place, engines, events))
    await asyncio.sleep(0.05)
    move = await place.done("container.migrate", id=f"move-{turn}", container="node4")
    restart = await place.done(
        "layer.restart", id=f"restart-{turn}", environment="shop", layer="app", delay_s=0
    )
    await killing
    whole = await place.quiet()
    fleet = whole.fleet

    assert operation(fleet, restart).outcome == "done"
    assert migration(fleet, move).state.value == "completed"
    assert [one.restarts for one in members(fleet, "app")] == [turn] * 3
    assert fleet.containers[ContainerId("node4")].moves == turn
    assert all(one.operable for one in fleet.containers.values())
    assert not broken(fleet)
    again = await place.done(
        "layer.restart", id=f"restart-{turn}", environment="shop", layer="app", delay_s=0
    )
    assert again == restart
