"""The client of the command line, in front of doors, of closed ones and of none."""

import pytest

from domain.contracts import Reply
from domain.messages import Code
from domain.problems import Problem
from restow.client import Client

CP = {"environment": "shop", "layer": "cp"}


@pytest.fixture
def client(bus, subjects):
    return Client(bus, subjects, actor="user:ana", tenant="acme")


@pytest.mark.usefixtures("doors")
class TestDoors:
    async def test_a_reply_is_a_reply(self, client, desk):
        reply = await client.ask("layer.restart", CP | {"id": "r-1"})

        assert isinstance(reply, Reply)
        assert (reply.status, reply.command_id) == ("accepted", "r-1")
        assert (desk.asked[0].actor, desk.asked[0].tenant) == ("user:ana", "acme")

    async def test_a_plan_is_read_too(self, client):
        reply = await client.ask("host.cordon", {"host": "n", "dry_run": True})

        assert isinstance(reply, Reply)
        assert isinstance(reply.plan, tuple)
        assert [event.type for event in reply.plan] == ["host.cordoned"]

    async def test_a_refusal_is_a_problem(self, client):
        told = await client.ask("layer.restart", CP | {"delay_s": 301})

        assert isinstance(told, Problem)
        assert told.code is Code.LIMITS_OUT_OF_RANGE

    async def test_no_answer_in_time_is_told_as_not_over(self, client, desk):
        desk.gate.clear()

        told = await client.ask("layer.restart", CP, within_s=0.1)
        desk.gate.set()

        assert isinstance(told, Problem)
        assert told.code is Code.WAIT_TIMEOUT


async def test_nobody_there_is_told_with_a_way_on(client):
    told = await client.ask("layer.restart", CP)

    assert isinstance(told, Problem)
    assert (told.code, told.detail) == (
        Code.BUS_UNAVAILABLE,
        "no engine is running; start `restow up`",
    )


async def test_more_than_the_bus_takes_is_not_sent(client, bus):
    told = await client.ask("layer.restart", b"x" * bus.max_payload)

    assert isinstance(told, Problem)
    assert told.code is Code.REQUEST_TOO_LARGE
    assert bus.is_connected
