"""Doors in front of a server that is killed, paused and started again."""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from domain.problems import Problem
from handlers.bus import Bus, connect
from handlers.journal.stream import ensure
from handlers.nats_server import Server, ServerOptions, start
from restow.client import Client
from tests.doors.conftest import doors_of
from tests.doors.desk import PATIENCE_S, all_taken, until

CP = {"environment": "shop", "layer": "cp"}


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    """Return a server of this test's own, to be ill-treated."""
    server = await start(ServerOptions(tmp_path))
    yield server
    server.stop()


@pytest.fixture
async def buses(server) -> AsyncIterator[tuple[Bus, Bus]]:
    """Return the engine's connection and a client's."""
    engine = await connect(server.url, name="engine")
    client = await connect(server.url, name="client")
    yield engine, client
    await client.close()
    await engine.close()


async def asked_until_answered(client, name, body):
    give_up = time.monotonic() + PATIENCE_S
    while isinstance(reply := await client.ask(name, body, within_s=1), Problem):
        assert time.monotonic() < give_up
        await asyncio.sleep(0.05)
    return reply


async def test_both_doors_go_on_when_the_server_is_back(server, buses, subjects, desk):
    engine, own = buses
    client = Client(own, subjects)
    await ensure(engine, subjects)
    async with doors_of(engine, subjects, desk):
        first = await asked_until_answered(client, "layer.restart", CP | {"id": "t-1"})
        server.kill()
        await server.restart()
        again = await asked_until_answered(client, "layer.restart", CP | {"id": "t-1"})
        body = msgspec.json.encode(CP | {"id": "d-1"})
        await own.request(subjects.durable("acme", "layer.restart"), body, timeout=10)
        await all_taken(own, subjects)

    outcome = await own.jetstream().get_last_msg(
        subjects.stream("RES"), subjects.outcome("acme", "d-1")
    )
    assert (again.operation_id, again.version) == (first.operation_id, first.version)
    assert msgspec.json.decode(outcome.data)["status"] == "accepted"


async def test_a_command_taken_before_the_server_died_is_answered_after(
    server, buses, subjects, desk
):
    engine, own = buses
    await ensure(engine, subjects)
    desk.gate.clear()
    async with doors_of(engine, subjects, desk):
        body = msgspec.json.encode(CP | {"id": "d-1"})
        await own.request(subjects.durable("acme", "layer.restart"), body, timeout=10)
        await until(lambda: bool(desk.asked))
        server.kill()
        desk.gate.set()
        await server.restart()
        await all_taken(own, subjects)

    outcome = await own.jetstream().get_last_msg(
        subjects.stream("RES"), subjects.outcome("acme", "d-1")
    )
    assert msgspec.json.decode(outcome.data)["operation_id"] == "op1"
