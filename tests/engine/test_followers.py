"""When room is looked for because of what containers use: with pauses, and not in vain."""

import asyncio

import pytest

from domain.agent import Sample, Usage
from domain.decider import Answered, Ask
from domain.environment import CreateEnvironment
from domain.messages import MEMORY_OF_A_CLOUDLET_MIB, ContainerId, HostId, Instant
from domain.migration import MigrateContainer
from domain.operation import ScaleLayer
from domain.vertical import SEEK_PACE_MS, SEEK_REST_MS, FollowUsage
from handlers.engine.usage import Followers
from restow.simulation.world import START
from tests.examples import Scene, given, host, layer

ONE, TWO, THREE = (ContainerId(f"node{n}") for n in (1, 2, 3))
H1, H2 = HostId("h1"), HostId("h2")


class Ear:
    """A leader's followers, at a time of our own; what they ask is only written down."""

    def __init__(self, scene: Scene) -> None:
        self.asked: list[FollowUsage] = []
        self.now = START
        self._followers = Followers(scene.fleet, self._ask, lambda: self.now)

    def _ask(self, ask: Ask) -> asyncio.Future[Answered]:
        assert isinstance(ask.command, FollowUsage)
        self.asked.append(ask.command)
        return asyncio.get_running_loop().create_future()

    def hear(self, where: HostId, name: ContainerId, cloudlets: int, after_ms: int = 0) -> None:
        self.now = Instant(self.now + after_ms)
        # A quarter more than it uses is what it is to hold.
        used = cloudlets * MEMORY_OF_A_CLOUDLET_MIB * 4 // 5
        self._followers.hear(Usage(where, self.now, (Sample(name, 0, used, 0, 0),)))

    @property
    def remembered(self) -> int:
        return len(self._followers)

    @property
    def sought(self) -> list[str]:
        return [one.container for one in self.asked if one.make_room]


@pytest.fixture
def scene() -> Scene:
    """Return two hosts of 4 cloudlets, full, with two containers each that may hold 8."""
    return given(
        host("h1", cloudlets=4),
        host("h2", cloudlets=4),
        CreateEnvironment(
            environment="shop", layers=(layer(count=4, reserved=2, limit=8, policy="spread"),)
        ),
    )


def on(scene: Scene, where: HostId) -> list[ContainerId]:
    return [one.id for one in scene.fleet.containers.values() if one.host == where]


async def test_where_the_host_is_full_room_is_sought_once_in_a_while(scene: Scene) -> None:
    ear = Ear(scene)
    one, other = on(scene, H1)

    for _ in range(3):
        ear.hear(H1, one, 4, after_ms=1_000)
        ear.hear(H1, other, 4)

    assert ear.asked == [FollowUsage(container=one, cloudlets=4, make_room=True)]
    ear.hear(H1, other, 4, after_ms=SEEK_REST_MS)
    assert ear.sought == [one, other]


async def test_hosts_take_turns(scene: Scene) -> None:
    ear = Ear(scene)
    here, there = on(scene, H1)[0], on(scene, H2)[0]

    ear.hear(H1, here, 4)
    ear.hear(H2, there, 4)
    assert ear.sought == [here]

    ear.hear(H2, there, 4, after_ms=SEEK_PACE_MS)
    assert ear.sought == [here, there]


async def test_where_it_fits_no_room_is_sought(scene: Scene) -> None:
    scene.ask(host("h3", cloudlets=32))
    scene.ask(MigrateContainer(container=on(scene, H1)[1]))
    scene.settle()
    ear = Ear(scene)

    ear.hear(H1, on(scene, H1)[0], 4)

    assert [one.make_room for one in ear.asked] == [False]


async def test_while_it_moves_no_room_is_sought(scene: Scene) -> None:
    scene.ask(host("h3", cloudlets=32))
    mover = on(scene, H1)[0]
    scene.ask(MigrateContainer(container=mover))
    ear = Ear(scene)

    ear.hear(H1, mover, 8)

    assert ear.asked == []


async def test_what_uses_less_is_heard_where_the_host_is_full(scene: Scene) -> None:
    scene.ask(host("h3", cloudlets=32))
    one, other = on(scene, H1)
    scene.ask(MigrateContainer(container=other))
    scene.settle()
    scene.ask(FollowUsage(container=one, cloudlets=4))
    ear = Ear(scene)

    for _ in range(5):
        ear.hear(H1, one, 3, after_ms=10_000)

    assert FollowUsage(container=one, cloudlets=3) in ear.asked


async def test_of_containers_that_are_no_more_nothing_is_remembered() -> None:
    wide = CreateEnvironment(environment="shop", layers=(layer(count=3, reserved=1, limit=8),))
    scene = given(host("h1"), wide)
    for name in (TWO, THREE):
        scene.ask(FollowUsage(container=name, cloudlets=4))
    scene.settle()
    ear = Ear(scene)
    for name in (TWO, THREE):  # they use less than they have, not yet for long
        ear.hear(H1, name, 1)
    remembered = ear.remembered

    scene.ask(ScaleLayer(environment="shop", layer="app", count=1))
    scene.settle()
    ear.hear(H1, ONE, 1)

    assert (remembered, len(scene.fleet.containers), ear.remembered) == (2, 1, 0)
