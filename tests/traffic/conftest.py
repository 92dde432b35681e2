"""One Knot and one HAProxy a test, in its own folder."""

import pytest

from handlers.agent.router import RoutingFailedError
from handlers.agent.routes import Routes
from tests.traffic.servers import Knot, Proxy, started, until


@pytest.fixture
def routes(tmp_path):
    table = Routes(tmp_path / "routes")
    yield table
    table.close()


@pytest.fixture
async def knot(tmp_path):
    server = Knot(tmp_path)
    with started(server):
        await until_answering(server)
        yield server


async def until_answering(server: Knot) -> None:
    async def answers() -> bool:
        try:
            await server.authority().read("ns.restow.internal")
        except RoutingFailedError:
            return False
        return True

    await until(answers, "Knot does not answer")


@pytest.fixture
def proxy(tmp_path):
    server = Proxy(tmp_path)
    yield server
    server.stop()
