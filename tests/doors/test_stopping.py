"""Doors that close answer what came in; doors in front of a broken desk say so and stop."""

import asyncio

import msgspec
import pytest

from handlers.bus import connect
from handlers.journal.stream import JetStreamError, info
from tests.doors.conftest import open_doors

CP = {"environment": "shop", "layer": "cp"}


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def restart(bus, subjects, **fields):
    body = msgspec.json.encode(CP | fields)
    reply = await bus.request(subjects.service("layer.restart"), body, timeout=10)
    return msgspec.json.decode(reply.data)


async def test_none_of_a_hundred_requests_is_lost_when_the_doors_close(
    streams, bus, engine_bus, subjects, desk
):
    desk.gate.clear()
    async with open_doors(engine_bus, subjects, desk):
        asking = [asyncio.create_task(restart(bus, subjects)) for _ in range(100)]
        await until(lambda: len(desk.asked) >= 50)  # the others are still on their way
        asyncio.get_running_loop().call_later(0.2, desk.gate.set)
    replies = await asyncio.gather(*asking)

    assert [reply["status"] for reply in replies] == ["accepted"] * 100


async def test_none_is_lost_when_the_engine_is_cancelled(streams, bus, engine_bus, subjects, desk):
    desk.gate.clear()

    async def engine():
        async with open_doors(engine_bus, subjects, desk):
            await asyncio.Event().wait()

    running = asyncio.create_task(engine())
    await until(lambda: bus.is_connected and not running.done())
    asking = []
    async with asyncio.timeout(10):
        while not desk.asked:
            asking.append(asyncio.create_task(restart(bus, subjects)))
            await asyncio.sleep(0.05)
    running.cancel()
    asyncio.get_running_loop().call_later(0.2, desk.gate.set)
    with pytest.raises(asyncio.CancelledError):
        await running

    replies = await asyncio.gather(*asking, return_exceptions=True)
    assert any(not isinstance(reply, BaseException) for reply in replies)
    assert sum(not isinstance(r, BaseException) for r in replies) == len(desk.answers)


async def test_a_second_engine_takes_over_without_a_gap(
    streams, bus, engine_bus, subjects, desk, nats_url
):
    other = await connect(nats_url, name="other engine")
    async with open_doors(engine_bus, subjects, desk), asyncio.TaskGroup() as group:
        first = [group.create_task(restart(bus, subjects)) for _ in range(20)]
        await until(lambda: len(desk.asked) > 0)
        async with open_doors(other, subjects, desk):
            second = [group.create_task(restart(bus, subjects)) for _ in range(20)]
            await until(lambda: all(task.done() for task in (*first, *second)))
    await other.close()

    assert {task.result()["status"] for task in (*first, *second)} == {"accepted"}


async def test_a_mistake_is_answered_without_its_words_and_stops_the_doors(
    streams, bus, engine_bus, subjects, desk
):
    desk.broken = KeyError("/etc/secret")
    with pytest.raises(ExceptionGroup) as raised:
        async with open_doors(engine_bus, subjects, desk):
            asking = asyncio.create_task(restart(bus, subjects))
            await asyncio.Event().wait()

    told = await asking
    assert raised.group_contains(KeyError)
    assert (told["code"], told["status"]) == ("internal", 500)
    assert "secret" not in str(told)
    assert told["facts"]["trace"] in told["detail"]


async def test_a_kept_command_that_breaks_the_desk_is_answered_once_and_goes(
    streams, bus, engine_bus, subjects, desk
):
    """Else it would come again and break every engine that follows."""
    desk.broken = KeyError("/etc/secret")
    with pytest.raises(ExceptionGroup) as raised:
        async with open_doors(engine_bus, subjects, desk):
            body = msgspec.json.encode(CP | {"id": "r-1"})
            await bus.publish(subjects.durable("acme", "layer.restart"), body)
            await asyncio.Event().wait()

    stored = await bus.jetstream().get_last_msg(
        subjects.stream("RES"), subjects.outcome("acme", "r-1")
    )
    assert raised.group_contains(KeyError)
    assert msgspec.json.decode(stored.data)["code"] == "internal"
    assert b"secret" not in stored.data
    assert (await info(bus, subjects.stream("CMD"))).state.messages == 0


async def test_doors_do_not_open_where_there_is_no_stream_of_commands(engine_bus, subjects, desk):
    with pytest.raises(ExceptionGroup) as raised:
        async with open_doors(engine_bus, subjects, desk):
            pass

    assert raised.group_contains(JetStreamError)
