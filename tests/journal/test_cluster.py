"""Three servers keep the journal; the one that leads it is killed under load."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from domain.subjects import Subjects
from handlers.bus import Bus, close, connect
from handlers.journal import checkpoints
from handlers.journal.reader import Head, follow
from handlers.journal.safety import verify
from handlers.journal.stream import ensure, info
from handlers.journal.writer import FencedError, Writer
from handlers.nats_server import Cluster, start_cluster
from tests.journal.samples import asks, commit, until, whole


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    servers = await start_cluster(tmp_path, free_ports(3))
    yield servers
    servers.stop()


@pytest.fixture
async def cluster_bus(cluster: Cluster, subjects: Subjects) -> AsyncIterator[Bus]:
    connection = await connect(cluster.url, name="test")
    await ensure(connection, subjects, replicas=3)
    yield connection
    await close(connection)


async def leader(bus: Bus, subjects: Subjects) -> str:
    stream = await info(bus, subjects.stream("JNL"))
    assert stream
    return stream.cluster.leader


class Load:
    """A writer that never stops, and a follower that hears what it writes."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self.bus, self.subjects = bus, subjects
        self.acknowledged: list[str] = []
        self.followed: list[str] = []

    async def write(self) -> None:
        writer = await Writer.take_over(self.bus, self.subjects, Head())
        while True:
            ask = f"a{len(self.acknowledged)}"
            await writer.append([commit(ask)])
            self.acknowledged.append(ask)

    async def follow(self) -> None:
        async with aclosing(follow(self.bus, self.subjects, Head())) as frames:
            async for _, frame in frames:
                self.followed.extend(one.ask for one in frame.commits)

    async def goes_on(self) -> None:
        """Wait for 200 more frames, both written and followed."""
        goal = len(self.acknowledged) + 200
        await until(lambda: min(len(self.acknowledged), len(self.followed)) >= goal)


async def test_a_journal_outlives_the_server_that_leads_it(
    cluster: Cluster, cluster_bus: Bus, subjects: Subjects
):
    assert (await verify(cluster_bus, subjects, cluster.monitors)).name == "safe"
    load = Load(cluster_bus, subjects)
    tasks = [asyncio.ensure_future(load.write()), asyncio.ensure_future(load.follow())]
    await load.goes_on()
    lost = cluster.named(await leader(cluster_bus, subjects))
    lost.kill()
    await load.goes_on()
    await lost.restart()
    await load.goes_on()
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    stored = asks(await whole(cluster_bus, subjects))
    assert stored[: len(load.acknowledged)] == load.acknowledged
    assert len(stored) <= len(load.acknowledged) + 1  # one was cut short: it may stand or not
    assert load.followed == stored[: len(load.followed)]


async def test_checkpoints_are_kept_as_often_as_the_journal_also_where_they_were_not(
    cluster_bus: Bus, subjects: Subjects
):
    copies: list[int] = []
    for seq, replicas in ((1, 1), (2, 3)):
        await checkpoints.save(cluster_bus, subjects, Head(seq), b"state", replicas=replicas)
        stream = await info(cluster_bus, checkpoints.bucket(subjects).name)
        assert stream
        copies.append(stream.config.num_replicas)

    assert copies == [1, 3]
    assert await checkpoints.latest(cluster_bus, subjects) == (Head(2), b"state")


async def test_a_writer_is_fenced_on_three_servers_too(cluster_bus: Bus, subjects: Subjects):
    old = await Writer.take_over(cluster_bus, subjects, Head())
    await old.append([commit("a")])
    new = await Writer.take_over(cluster_bus, subjects, old.head)
    with pytest.raises(FencedError):
        await old.append([commit("never")])
    await new.append([commit("b")])
    assert asks(await whole(cluster_bus, subjects)) == ["a", "b"]
