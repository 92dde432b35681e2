"""Doors that close answer what came in; doors in front of a broken desk say so and stop."""

import asyncio
from contextlib import suppress

import msgspec
import pytest
from nats.errors import NoRespondersError

from handlers.bus import connect, flush
from handlers.journal.stream import JetStreamError, api
from tests.doors.conftest import doors_of
from tests.doors.desk import count, until

pytestmark = pytest.mark.usefixtures("streams")

CP = {"environment": "shop", "layer": "cp"}


async def restart(bus, subjects, **fields):
    body = msgspec.json.encode(CP | fields)
    reply = await bus.request(subjects.service("layer.restart"), body, timeout=10)
    return msgspec.json.decode(reply.data)


async def asked_when_open(bus, subjects):
    """Ask until somebody listens; ask no more than once then."""
    async with asyncio.timeout(10):
        while True:
            with suppress(NoRespondersError):
                return await restart(bus, subjects)
            await asyncio.sleep(0.01)


async def open_until_broken(open_doors):
    async with open_doors():
        await asyncio.Event().wait()


async def test_none_of_a_thousand_requests_is_lost_when_the_doors_close(
    bus, open_doors, subjects, desk
):
    """Some are with the desk then, some wait in the door, some are on their way from the server."""
    told = []

    async def hear(message):
        told.append(msgspec.json.decode(message.data)["status"])

    inbox = bus.new_inbox()
    await bus.subscribe(inbox, cb=hear)
    desk.gate.clear()
    async with open_doors():
        for _ in range(1_000):
            await bus.publish(subjects.service("layer.restart"), msgspec.json.encode(CP), inbox)
        await flush(bus)
        asyncio.get_running_loop().call_later(0.2, desk.gate.set)
    await until(lambda: len(told) == 1_000)

    assert set(told) == {"accepted"}


async def test_none_is_lost_when_the_engine_is_cancelled(bus, open_doors, subjects, desk):
    desk.gate.clear()
    engine = asyncio.create_task(open_until_broken(open_doors))
    asking = asyncio.create_task(asked_when_open(bus, subjects))
    await until(lambda: bool(desk.asked))
    engine.cancel()
    asyncio.get_running_loop().call_later(0.2, desk.gate.set)
    with pytest.raises(asyncio.CancelledError):
        await engine

    assert (await asking)["status"] == "accepted"


@pytest.fixture
async def other_bus(nats_url):
    connection = await connect(nats_url, name="other engine")
    yield connection
    await connection.close()


async def test_a_second_engine_takes_over_without_a_gap(bus, open_doors, subjects, desk, other_bus):
    async with open_doors(), asyncio.TaskGroup() as group:
        first = [group.create_task(restart(bus, subjects)) for _ in range(20)]
        await until(lambda: len(desk.asked) > 0)
        async with doors_of(other_bus, subjects, desk):
            second = [group.create_task(restart(bus, subjects)) for _ in range(20)]
            await until(lambda: all(task.done() for task in (*first, *second)))

    assert {task.result()["status"] for task in (*first, *second)} == {"accepted"}


async def test_a_mistake_is_answered_without_its_words_and_stops_the_doors(
    bus, open_doors, subjects, desk
):
    desk.broken = KeyError("/etc/secret")
    engine = asyncio.create_task(open_until_broken(open_doors))
    told = await asked_when_open(bus, subjects)
    with pytest.raises(ExceptionGroup) as raised:
        await engine

    assert raised.group_contains(KeyError)
    assert (told["code"], told["status"]) == ("internal", 500)
    assert "secret" not in str(told)
    assert told["facts"]["trace"] in told["detail"]


async def test_a_kept_command_that_breaks_the_desk_is_answered_once_and_goes(
    bus, open_doors, subjects, desk
):
    """Else it would come again and break every engine that follows."""
    desk.broken = KeyError("/etc/secret")
    body = msgspec.json.encode(CP | {"id": "r-1"})
    await bus.publish(subjects.durable("acme", "layer.restart"), body)
    with pytest.raises(ExceptionGroup) as raised:
        await open_until_broken(open_doors)

    stored = await bus.jetstream().get_last_msg(
        subjects.stream("RES"), subjects.outcome("acme", "r-1")
    )
    assert raised.group_contains(KeyError)
    assert msgspec.json.decode(stored.data)["code"] == "internal"
    assert b"secret" not in stored.data
    assert await count(bus, subjects.stream("CMD")) == 0


async def test_doors_do_not_open_where_there_is_no_stream_of_commands(bus, subjects, open_doors):
    await api(bus, f"STREAM.DELETE.{subjects.stream('CMD')}")
    with pytest.raises(ExceptionGroup) as raised:
        await open_until_broken(open_doors)

    assert raised.group_contains(JetStreamError)
