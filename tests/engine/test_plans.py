"""Plans through the doors of a real engine: told, applied as told, or refused; each once."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.contracts import Reply
from domain.messages import Code
from domain.plan import Forecast
from domain.problems import Problem
from domain.subjects import Subjects
from handlers.bus import Bus, flush
from tests.engine.site import SHOP, Site, members, site

RESTART: dict[str, Any] = {"environment": "shop", "layer": "app", "delay_s": 0}


@pytest.fixture
async def shop(nats_url: str, subjects: Subjects, tmp_path: Path):
    """A region with an engine, six hosts, and an environment whose containers serve."""
    async with site(nats_url, subjects, tmp_path) as whole:
        await whole.engine("e1")
        await whole.agents(6)
        await whole.done("environment.create", **SHOP)
        await whole.quiet()
        yield whole


def command(reply: Reply) -> dict[str, Any]:
    """Return the body of the command that a plan gives."""
    assert isinstance(reply.apply, dict)
    return {name: value for name, value in reply.apply.items() if name != "type"}


def steps(reply: Reply) -> list[tuple[str, str]]:
    assert isinstance(reply.forecast, Forecast)
    return [(step.container, step.outcome) for step in reply.forecast.steps]


async def test_a_plan_is_done_as_told_by_another_engine_than_told_it(shop: Site):
    before = (await shop.region()).position
    planned = await shop.done("layer.restart", **RESTART, dry_run=True)
    assert (await shop.region()).position == before
    await shop.engine("e2")
    shop.crash("e1")

    reply = await shop.done("layer.restart", **command(planned), id="apply-1")
    again = await shop.done("layer.restart", **command(planned), id="apply-1")
    fleet = (await shop.quiet()).fleet

    assert planned.status == "planned"
    assert (reply.status, reply.operation_id) == ("accepted", planned.operation_id)
    assert again == reply
    done = [(one.planned.container, "done") for one in operation_of(fleet, reply)]
    assert done == steps(planned)
    assert [one.restarts for one in members(fleet, "app")] == [1, 1, 1]


def operation_of(fleet: Any, reply: Reply) -> Any:
    return fleet.operations[reply.operation_id].over


async def test_what_changed_in_between_is_told_and_nothing_else_is_done(shop: Site):
    planned = await shop.done("container.migrate", container="node2", dry_run=True)
    assert isinstance(planned.forecast, Forecast)
    target = planned.forecast.moves[0].target
    await shop.done("host.cordon", host=target, reason="new memory")

    refused = await shop.ask("container.migrate", **command(planned))

    assert isinstance(refused, Problem)
    assert (refused.code, refused.status) == (Code.PLAN_OUTDATED, 409)
    assert refused.facts["planned_at"] == planned.position
    assert "host.cordon by operator" in refused.detail
    assert not (await shop.region()).fleet.migrations


async def test_what_changed_elsewhere_makes_no_difference(shop: Site):
    planned = await shop.done("layer.restart", **RESTART, dry_run=True)
    await shop.done("environment.create", environment="blog", layers=[{"name": "app"}])
    await shop.quiet()

    reply = await shop.done("layer.restart", **command(planned))

    assert reply.status == "accepted"
    assert reply.operation_id != planned.operation_id
    await shop.quiet()


async def test_a_plan_is_told_and_applied_through_the_durable_door(
    shop: Site, bus: Bus, subjects: Subjects
):
    async def ask(name: str, body: dict[str, Any], ident: str) -> dict[str, Any]:
        heard = await bus.subscribe(subjects.outcome("acme", ident))
        await flush(bus)
        subject = subjects.durable("acme", name)
        await bus.request(
            subject, msgspec.json.encode(body), headers={"Nats-Msg-Id": ident}, timeout=5
        )
        told: dict[str, Any] = json.loads((await heard.next_msg(timeout=10)).data)
        return told

    await ask("environment.create", {**SHOP, "environment": "corner"}, "make")
    await shop.quiet()
    planned = await ask("layer.restart", {**RESTART, "environment": "corner", "dry_run": True}, "p")
    done = await ask("layer.restart", planned["apply"], "a")
    other = await ask("layer.restart", {**planned["apply"], "delay_s": 1}, "b")
    await shop.quiet()

    assert (planned["status"], done["status"]) == ("planned", "accepted")
    assert done["operation_id"] == planned["operation_id"]
    assert (other["code"], other["path"]) == ("request.invalid", "$.expect_plan")


async def test_a_name_that_no_plan_has_is_not_valid(shop: Site):
    refused = await shop.ask("layer.restart", **RESTART, expect_plan="mine")

    assert isinstance(refused, Problem)
    assert (refused.code, refused.path) == (Code.REQUEST_INVALID, "$.expect_plan")
