"""A fabric for each test that asks for one; nothing is left of agents that were killed."""

import pytest

from handlers.agent.runc.proving import clear
from tests.hosts.fabric import Fabric


@pytest.fixture
def fabric():
    with Fabric.made() as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def _cleared():
    """Take away the trials of agents that tests killed at their start."""
    yield
    clear()
