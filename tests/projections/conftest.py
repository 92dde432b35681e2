"""A real bus and a stream EVT for the tests of this folder."""

import pytest

from domain.subjects import Subjects
from handlers.bus import Bus
from tests.nats import bus, nats_server, nats_url, prefix, subjects

__all__ = ["bus", "evt", "nats_server", "nats_url", "prefix", "subjects"]


@pytest.fixture
async def evt(bus: Bus, subjects: Subjects) -> str:
    """Return the name of an empty stream EVT, which forgets message ids at once.

    So whatever is published twice is only kept out by the place that it must take.
    """
    name = subjects.stream("EVT")
    await bus.jetstream().add_stream(
        name=name, subjects=[subjects.events_all], duplicate_window=0.1, allow_direct=True
    )
    return name
