"""A real NATS server for tests: one a session, and a region of its own for every test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from domain.subjects import Subjects
from handlers.bus import Bus, close, connect
from handlers.nats_server import Server, ServerOptions, start


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return the session's server. Do not stop it: others use it too."""
    # Hundreds of regions reserve more than a disk has; what they write is little.
    options = ServerOptions(tmp_path_factory.mktemp("nats"), store_max="100TB")
    server = asyncio.run(start(options))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nats_url(nats_server: Server) -> str:
    return nats_server.url


@pytest.fixture
def prefix() -> str:
    """Return a prefix that no other test has, so that its streams and subjects are its own."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def subjects(prefix: str) -> Subjects:
    return Subjects(prefix)


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """Return a connection to the session's server."""
    connection = await connect(nats_url, name="test")
    yield connection
    await close(connection)
