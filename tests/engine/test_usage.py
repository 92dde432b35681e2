"""Containers follow what they use, end to end: agent, bus, engine, agent."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from domain.agent import Sample, Usage
from domain.container import Container
from domain.fleet import Fleet
from domain.messages import ContainerId, HostId, Instant
from domain.subjects import Subjects
from handlers.agent.behaviour import Behaviour
from handlers.bus import flush
from tests.engine.site import Site, members, site

ONE = ContainerId("node1")


@pytest.fixture
async def place(nats_url: str, subjects: Subjects, tmp_path: Path):
    async with site(nats_url, subjects, tmp_path) as whole:
        await whole.engine("e1")
        yield whole


async def one_that_uses(place: Site, load: str) -> Container:
    """Create an environment of one container with this load, and return it when it serves."""
    app = {
        "name": "app",
        "count": 1,
        "reserved": 1,
        "limit": 8,
        "variables": {"LOAD": load},
    }
    await place.done("environment.create", environment="shop", layers=[app])
    fleet = (await place.quiet()).fleet
    return members(fleet, "app")[0]


def holds(cloudlets: int):
    """Return what to wait for: its host gave the container so many, without a restart."""

    def so(fleet: Fleet) -> bool:
        one = fleet.containers[ONE]
        return (one.applied, one.allocated, one.restarts) == (cloudlets, cloudlets, 0)

    return so


async def test_one_that_uses_more_holds_more_without_a_restart(place: Site):
    await place.agents(2)

    await one_that_uses(place, "4")

    await place.until(holds(5))


async def test_what_it_used_more_for_a_while_is_given_back_after_a_calm(place: Site):
    """Its load falls within seconds; the calm is told by the clock of the engine, as always."""
    await place.agents(2, Behaviour(seed=1, speed=1.0))
    one = await one_that_uses(place, "1")
    body = Usage(one.host, Instant(1), (Sample(ONE, 0, 5 * 128, 0, 0),))

    await place.bus.publish(place.subjects.usage(one.host), msgspec.json.encode(body))

    await place.until(lambda fleet: fleet.containers[ONE].allocated == 7)


async def test_what_cannot_be_read_or_comes_from_another_host_is_nothing(place: Site):
    await place.agents(2)
    one = await one_that_uses(place, "0.5")
    other = HostId("h02" if one.host == "h01" else "h01")
    sample = (Sample(ONE, 0, 6 * 128, 0, 0),)
    for subject, body in (
        (one.host, b"{"),
        (other, msgspec.json.encode(Usage(one.host, Instant(1), sample))),
        (other, msgspec.json.encode(Usage(other, Instant(1), sample))),
        (one.host, msgspec.json.encode(Usage(one.host, Instant(1), (sample[0],) * 0))),
    ):
        await place.bus.publish(place.subjects.usage(subject), body)
    await flush(place.bus)
    await asyncio.sleep(0.5)

    assert (await place.region()).fleet.containers[ONE].allocated == 1
