"""A desk, and both doors open in front of it."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial

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
