"""Before it has a lease, a host says whose a copy is: its ledger knows, and nothing is begun."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest

from domain.memory import Standing
from handlers.agent.link import Link
from handlers.agent.peers import WHOSE, Reply, Whose
from handlers.agent.process import Site
from handlers.bus import Bus, connect
from tests.agent.fleet import FAST, H1, MV1, PACE, START, WEB, Fleet, move

WITHIN_S = 20.0


@pytest.fixture
async def alone(fleet: Fleet, nats_url: str) -> AsyncIterator[Fleet]:
    """A fleet of which one handed a container over, and begins again where no lease is granted."""
    await fleet.done("o1", H1, START)
    assert (await fleet.done("o2", H1, move())).done
    await fleet.kill(H1)
    fleet.grants = False
    connection = await connect(nats_url, name="h01 again")
    site = Site(Link(connection), fleet.subjects, fleet.data, FAST, PACE)
    task = asyncio.create_task(site.host(H1))
    yield fleet
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await connection.close()


async def listened_to(bus: Bus, subject: str, body: bytes) -> Reply:
    """Ask until somebody listens there."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            reply = await request(bus, subject, body)
            if reply is not None:
                return msgspec.json.decode(reply, type=Reply)
            await asyncio.sleep(0.05)


async def request(bus: Bus, subject: str, body: bytes) -> bytes | None:
    return await Link(bus).ask(subject, body, within_s=1.0)


async def test_it_says_whose_the_copy_is(alone: Fleet) -> None:
    asked = msgspec.json.encode(Whose(MV1))

    reply = await listened_to(alone.bus, alone.subjects.peer(H1, WHOSE), asked)

    assert reply.ok
    assert reply.standing in {Standing.HANDED_OVER, Standing.GONE}


async def test_it_takes_nothing_in(alone: Fleet) -> None:
    asked = msgspec.json.encode(Whose(MV1))
    await listened_to(alone.bus, alone.subjects.peer(H1, WHOSE), asked)

    assert await request(alone.bus, alone.subjects.peer(H1, "check"), b"{}") is None
    assert (H1, WEB) not in alone.truth.lives
