"""Worlds with little room: whatever must grow does, or is refused; nothing waits for ever."""

from domain.growth import GROWTH_MAX_MS, PLANS_MAX, GrowthState
from restow.simulation.ending import check_end
from restow.simulation.stories import live
from restow.simulation.wishes import CROWDING, WISHES

MOSTLY = (*CROWDING * 8, *WISHES)
ENDS = {GrowthState.DONE, GrowthState.REFUSED, GrowthState.ABANDONED}


def test_random_worlds_with_little_room_come_to_their_end(seed: int) -> None:
    world = live(seed, MOSTLY)

    check_end(world)
    for growth in world.fleet.growths.values():
        assert growth.state in ENDS, world.story(str(growth))
        assert growth.plans <= PLANS_MAX, world.story(str(growth))
        assert growth.finished_at - growth.requested_at <= GROWTH_MAX_MS, world.story(str(growth))


def test_in_such_worlds_growths_are_done_and_refused() -> None:
    worlds = [live(seed, MOSTLY) for seed in range(80)]

    growths = [growth for world in worlds for growth in world.fleet.growths.values()]
    assert {growth.state for growth in growths} >= {GrowthState.DONE, GrowthState.REFUSED}
    assert {growth.held > 0 for growth in growths} == {True, False}
    assert any(growth.migrations for growth in growths)
