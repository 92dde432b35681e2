"""A fabric for each test that asks for one."""

import pytest

from tests.hosts.fabric import Fabric


@pytest.fixture
def fabric():
    with Fabric.made() as made:
        yield made
