"""A region as bytes and back: the same region, and nothing strange is taken for one."""

import msgspec
import pytest

from domain.decider import Ask
from domain.image import SHAPE, StrangeImageError, from_image, to_image
from domain.messages import AskId
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleNode
from domain.region import Region
from restow.simulation.stories import live
from restow.simulation.world import state_of
from tests.examples import given, hosts, kinds, shop


@pytest.mark.parametrize("story", range(10))
def test_back_from_bytes_it_is_the_same_region(story: int) -> None:
    region = live(story).region

    again = from_image(to_image(region))

    assert state_of(again) == state_of(region)
    assert (again.position, again.epoch, again.at) == (region.position, region.epoch, region.at)


def test_in_the_middle_of_everything_it_decides_the_same() -> None:
    scene = given(hosts(3), shop(3))
    scene.ask(RestartLayer(environment="shop", layer="app", delay_s=5))
    scene.ask(RestartLayer(environment="shop", layer="app"))
    scene.ask(MigrateContainer(container="node2"))
    scene.ask(MigrateContainer(container="node3", target="h1"))
    scene.ask(ScaleNode(container="node1", reserved=3))
    region = scene.world.region

    again = from_image(to_image(region))

    assert state_of(again) == state_of(region)
    ask = Ask(AskId("more"), ScaleNode(container="node2", reserved=2))
    commit = again.decide(ask, scene.world.now)
    assert commit == region.decide(ask, scene.world.now)
    assert "ContainerScaled" in kinds(commit)


def test_an_empty_region_is_an_image_too() -> None:
    assert state_of(from_image(to_image(Region()))) == state_of(Region())


def test_an_image_is_made_of_copies() -> None:
    scene = given(hosts(2), shop(1))
    again = from_image(to_image(scene.world.region))

    scene.ask(ScaleNode(container="node1", reserved=3))

    assert again.fleet.containers[scene.container("node1").id].reserved == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "another shape"),
        (b"x" * 100, "another shape"),
        (SHAPE[:-1] + b"?" + b"\x90", "another shape"),
        (SHAPE, "cannot be read"),
        (SHAPE + b"\xc1", "cannot be read"),
        (SHAPE + msgspec.msgpack.encode([1, 2, 3]), "cannot be read"),
        (to_image(Region())[:-1], "cannot be read"),
    ],
)
def test_a_strange_image_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(StrangeImageError, match=said):
        from_image(data)
