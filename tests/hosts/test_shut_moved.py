"""A container that has moved live is shut in as before, to the letter, as the kernel tells it."""

import pytest

from handlers.agent.runc.hardening import Profile
from tests.hosts.machine import REAL
from tests.hosts.walls import A, B, Inside, Stay

pytestmark = REAL


@pytest.fixture
def inside(tmp_path):
    with Inside.of(tmp_path, Profile.MOVABLE, Stay.AT_HOME) as made:
        yield made


async def test_every_wall_stands_after_each_move_as_it_stood_before(inside):
    before = {name: await inside.walls(name) for name in (A, B)}
    assert before[A]["namespaces"].split() == ["pid", "ipc", "uts", "net", "mnt", "cgroup"]
    for host in ("h02", "h01"):
        await inside.move(host)
        for name in (A, B):
            after = await inside.walls(name)
            wrong = {key for key in {*before[name], *after} if before[name][key] != after[key]}
            assert {key: (before[name][key], after[key]) for key in wrong} == {}, host
