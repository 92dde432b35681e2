"""A desk, and both doors open in front of it."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from domain.messages import Instant
from domain.subjects import Subjects
from handlers.bus import Bus, connect
from handlers.doors import serve
from handlers.journal.stream import ensure
from tests.doors.desk import RecordingDesk

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


@asynccontextmanager
async def open_doors(bus: Bus, subjects: Subjects, desk: RecordingDesk) -> AsyncIterator[None]:
    numbers = itertools.count(1)
    async with serve(
        bus, subjects, desk, new_id=lambda: f"{subjects.prefix}-{next(numbers)}", now=lambda: NOW
    ):
        yield


@pytest.fixture
async def doors(streams, engine_bus, subjects, desk):
    async with open_doors(engine_bus, subjects, desk):
        yield
