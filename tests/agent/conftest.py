"""A fleet for each test that asks for one."""

import pytest

from domain.messages import HostId
from tests.agent.fleet import H1, H2, fleet_of


@pytest.fixture
async def fleet(bus, nats_url, tmp_path):
    """Two hosts and the router, and nothing on them."""
    async with fleet_of(H1, H2, HostId("routing"), bus=bus, url=nats_url, data=tmp_path) as made:
        yield made
