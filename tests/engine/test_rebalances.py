"""Rebalances through the doors of a real engine: done, refused, asked again; over a takeover."""

from pathlib import Path
from typing import Any

import pytest

from domain.contracts import Reply
from domain.messages import Code, RebalanceId
from domain.problems import Problem
from domain.subjects import Subjects
from tests.engine.site import Site, members, site


@pytest.fixture
async def uneven(nats_url: str, subjects: Subjects, tmp_path: Path):
    """A region in which one of three hosts carries all, though two could carry as much."""
    async with site(nats_url, subjects, tmp_path) as whole:
        await whole.engine("e1")
        await whole.agents(3)
        for host in ("h02", "h03"):
            await whole.done("host.cordon", host=host)
        app = {"name": "app", "count": 4}
        await whole.done("environment.create", environment="shop", layers=[app])
        await whole.quiet()
        for host in ("h02", "h03"):
            await whole.done("host.uncordon", host=host)
        yield whole


def spread(fleet: Any) -> list[int]:
    """Return how many containers hosts have, fewest first."""
    return sorted(host.containers for host in fleet.hosts.values())


async def test_done_as_planned(uneven: Site):
    planned = await uneven.done("rebalance.start", dry_run=True)
    assert isinstance(planned.apply, dict)
    body = {name: value for name, value in planned.apply.items() if name != "type"}

    reply = await uneven.done("rebalance.start", **body, id="even-1")
    again = await uneven.done("rebalance.start", **body, id="even-1")
    fleet = (await uneven.quiet()).fleet

    assert planned.status == "planned"
    assert "uneven layers 1 -> 0, largest skew 4 -> 1" in planned.notices[0]
    assert (reply.status, reply.operation_id) == ("accepted", "rb1")
    assert again == reply
    assert spread(fleet) == [1, 1, 2]
    assert fleet.rebalances[RebalanceId("rb1")].outcome == "done"
    assert [one.restarts for one in members(fleet, "app")] == [0, 0, 0, 0]


async def test_a_plan_outlives_the_engine_that_made_it(uneven: Site):
    planned = await uneven.done("rebalance.start", dry_run=True)
    assert isinstance(planned.apply, dict)
    body = {name: value for name, value in planned.apply.items() if name != "type"}
    await uneven.engine("e2")
    uneven.crash("e1")

    reply = await uneven.done("rebalance.start", **body, id="even-1")
    fleet = (await uneven.quiet()).fleet

    assert (reply.status, reply.operation_id) == ("accepted", "rb1")
    assert spread(fleet) == [1, 1, 2]


async def test_it_goes_on_when_its_engine_dies_in_the_middle(uneven: Site):
    await uneven.done("rebalance.start", at_once=1)
    await uneven.engine("e2")
    uneven.crash("e1")

    fleet = (await uneven.quiet()).fleet

    assert spread(fleet) == [1, 1, 2]
    assert fleet.rebalances[RebalanceId("rb1")].outcome == "done"


async def test_refused_and_held(uneven: Site):
    strange = await uneven.ask("rebalance.start", zone="mars")
    too_many = await uneven.ask("rebalance.start", moves=101)
    await uneven.done("rebalance.start", at_once=1)
    busy = await uneven.ask("rebalance.start", moves=3)
    stopped = await uneven.done("rebalance.stop", rebalance="rb1")
    fleet = (await uneven.quiet()).fleet
    over = await uneven.ask("rebalance.pause", rebalance="rb1")
    unknown = await uneven.ask("rebalance.resume", rebalance="rb7")

    codes = [
        one.code for one in (strange, too_many, busy, over, unknown) if isinstance(one, Problem)
    ]
    assert codes == [
        Code.REQUEST_INVALID,
        Code.LIMITS_OUT_OF_RANGE,
        Code.OPERATION_BUSY,
        Code.REBALANCE_ENDED,
        Code.REBALANCE_NOT_FOUND,
    ]
    assert isinstance(too_many, Problem)
    assert "moves must be 1..100" in too_many.detail
    assert isinstance(stopped, Reply)
    assert fleet.rebalances[RebalanceId("rb1")].outcome == "stopped"


async def test_nothing_to_do_is_an_answer_that_says_why(uneven: Site):
    await uneven.done("rebalance.start")
    await uneven.quiet()

    reply = await uneven.done("rebalance.start")

    assert reply.status == "unchanged"
    assert reply.notices[0].startswith("nothing to move: no single move")
