"""A desk, both doors open in front of it, and who knocks at the durable one."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import msgspec
import pytest

from domain.messages import Instant
from domain.subjects import Subjects
from handlers.bus import Bus, connect
from handlers.doors import serve
from handlers.journal.stream import ensure
from tests.doors.desk import PATIENCE_S, RecordingDesk, until

NOW = Instant(1_800_000_000_000)


@pytest.fixture
def desk():
    return RecordingDesk()


@pytest.fixture
async def streams(bus, subjects):
    await ensure(bus, subjects)


@pytest.fixture
async def engine_bus(nats_url) -> AsyncIterator[Bus]:
    """Return the engine's own connection."""
    connection = await connect(nats_url, name="engine")
    yield connection
    await connection.close()


def doors_of(
    bus: Bus, subjects: Subjects, desk: RecordingDesk
) -> AbstractAsyncContextManager[None]:
    """Return the two doors of an engine, closed."""
    numbers = itertools.count(1)
    return serve(
        bus, subjects, desk, new_id=lambda: f"{subjects.prefix}-{next(numbers)}", now=lambda: NOW
    )


@pytest.fixture
def open_doors(engine_bus, subjects, desk):
    """Return a function that makes doors to be opened by `async with`."""
    return partial(doors_of, engine_bus, subjects, desk)


@pytest.fixture
async def doors(streams, open_doors):
    async with open_doors():
        yield


class Publisher:
    """Publishes commands as a tenant would, and reads what became of them."""

    def __init__(self, bus, subjects):
        self.bus, self.subjects = bus, subjects
        self.heard = {}

    async def listen(self):
        async def hear(message):
            told = msgspec.json.decode(message.data)
            self.heard.setdefault(message.subject, []).append((told, message.headers))

        await self.bus.subscribe(self.subjects.outcomes_all, cb=hear)

    async def publish(self, name, body, *, tenant="acme", **headers):
        """Publish and return the acknowledgement of the stream."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        written = {key.replace("_", "-"): value for key, value in headers.items()} or None
        subject = self.subjects.durable(tenant, name)
        acked = await self.bus.request(subject, data, timeout=PATIENCE_S, headers=written)
        return msgspec.json.decode(acked.data)

    async def outcome(self, ask, tenant="acme", nth=1):
        """Return the `nth` outcome of an ask."""
        subject = self.subjects.outcome(tenant, ask)
        await until(lambda: len(self.heard.get(subject, [])) >= nth)
        return self.heard[subject][nth - 1][0]


@pytest.fixture
async def publisher(bus, subjects, streams):
    publisher = Publisher(bus, subjects)
    await publisher.listen()
    return publisher
