"""Triggers follow what hosts say, end to end: agent, bus, engine, journal, agent."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from domain.agent import Sample, Usage
from domain.fleet import Fleet
from domain.messages import Instant, TriggerId
from domain.subjects import Subjects
from tests.engine.site import Site, members, site

NEVER_S = 3_600.0
"""The agents say nothing of usage; the test does."""
RULE = {
    "environment": "shop",
    "layer": "app",
    "resource": "memory",
    "add_above": 70,
    "remove_below": 30,
    "max_count": 2,
    "window_s": 5,
    "cooldown_s": 0,
}


@pytest.fixture
async def place(nats_url: str, subjects: Subjects, tmp_path: Path):
    async with site(nats_url, subjects, tmp_path) as whole:
        await whole.engine("e1")
        await whole.agents(2, usage_s=NEVER_S)
        app = {"name": "app", "count": 1, "limit": 8}
        await whole.done("environment.create", environment="shop", layers=[app])
        await whole.quiet()
        await whole.done("trigger.set", **RULE)
        yield whole


async def tell(place: Site, percent: int) -> Fleet:
    """Let the host of each container say that it uses so much of its limit."""
    fleet = (await place.region()).fleet
    for one in members(fleet, "app"):
        used = Sample(one.id, 0, percent * one.limit * 128 // 100, 0, 0)
        usage = Usage(one.host, Instant(1), (used,))
        await place.bus.publish(place.subjects.usage(one.host), msgspec.json.encode(usage))
    await asyncio.sleep(0.2)
    return fleet


async def test_used_more_it_gets_more_and_used_less_it_has_fewer(place: Site):
    async with asyncio.timeout(60):
        while len(members(await tell(place, 95), "app")) < 2:
            pass
        settled = await place.until(lambda fleet: not fleet.triggers[TriggerId("tr1")].operation)
        while len(members(await tell(place, 5), "app")) > 1:
            pass

    assert settled.fleet.triggers[TriggerId("tr1")].tries == 0
    one = (await place.quiet()).fleet.triggers[TriggerId("tr1")]
    assert (one.operation, one.tries) == (None, 0)


async def test_after_a_takeover_the_window_begins_anew_and_it_fires(place: Site):
    async with asyncio.timeout(60):
        for _ in range(10):
            await tell(place, 95)
        place.crash("e1")
        await place.engine("e2")
        while len(members(await tell(place, 95), "app")) < 2:
            pass

    await place.quiet()
