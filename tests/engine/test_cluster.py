"""The production shape on loopback: three NATS nodes, streams R3, two engines, under load."""

import asyncio
import socket
from pathlib import Path

import pytest

from domain.invariants import broken
from domain.messages import AskId
from domain.subjects import Subjects
from handlers.journal.stream import info
from handlers.nats_server import Cluster, start_cluster
from tests.engine.engines import Engines
from tests.engine.site import SHOP, Site, site

ASKERS = 8


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.timeout(240)
async def test_the_stream_leader_dies_under_load_and_nothing_acknowledged_is_lost(
    subjects: Subjects, tmp_path: Path
):
    cluster = await start_cluster(tmp_path / "nats", free_ports(3))
    engines = Engines(cluster.url, cluster.monitors, subjects, tmp_path, replicas=3)
    try:
        async with site(cluster.url, subjects, tmp_path / "agents", replicas=3) as place:
            engines.start("e1")
            engines.start("e2")
            await place.agents(6)
            await place.done("environment.create", **SHOP)
            await place.quiet()
            acknowledged = await under_load(place, cluster)
            region = await place.quiet()
            kept = await info(place.bus, subjects.stream("JNL"))
    finally:
        engines.stop()
        cluster.stop()

    assert kept is not None
    assert kept.config.num_replicas == 3
    assert len(acknowledged) > 100
    assert all(region.answers.get(AskId(name)) is not None for name in acknowledged)
    assert not broken(region.fleet)
    assert all(one.operable for one in region.fleet.containers.values())


async def under_load(place: Site, cluster: Cluster) -> list[str]:
    """Kill the journal's leader while many ask; return the ids of what was acknowledged."""
    acknowledged: list[str] = []
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as load:
        for asker in range(ASKERS):
            load.create_task(ask_on(place, asker, acknowledged, stop))
        await asyncio.sleep(1)
        stream = await info(place.bus, place.subjects.stream("JNL"))
        assert stream is not None
        victim = cluster.named(stream.cluster.leader)
        before = len(acknowledged)
        victim.kill()
        await until_more(acknowledged, before + 10 * ASKERS)
        await victim.restart()
        await asyncio.sleep(1)
        stop.set()
    return acknowledged


async def until_more(acknowledged: list[str], count: int) -> None:
    async with asyncio.timeout(60):
        while len(acknowledged) < count:
            await asyncio.sleep(0.1)


async def ask_on(place: Site, asker: int, acknowledged: list[str], stop: asyncio.Event) -> None:
    """Scale one container up and down, each time under a new id, until told to stop."""
    number = 0
    while not stop.is_set():
        number += 1
        name = f"ask-{asker}-{number}"
        container = f"node{asker % 5 + 1}"
        await place.done("container.scale", id=name, container=container, limit=8 + number % 2)
        acknowledged.append(name)
