"""Lines of rebalances say what the region knows of them."""

from functools import cache

import msgspec
import pytest

from domain.messages import Refusal
from domain.wire import decode_frame
from projections import questions as q
from projections import rebalances
from projections.reads import Reads
from projections.rebalances import rebalance_line
from restow.simulation.stories import live
from restow.simulation.wishes import EVENING, FIRST
from restow.simulation.world import World

SEEDS = range(30)


@cache
def read(seed: int) -> tuple[World, Reads]:
    world = live(seed, (*EVENING * 5, *FIRST))
    reads = Reads()
    for data in world.journal:
        reads.take(decode_frame(data))
    return world, reads


@pytest.mark.parametrize("number", SEEDS)
def test_a_line_says_what_the_region_knows(number):
    world, reads = read(number)

    for one in world.fleet.rebalances.values():
        line = rebalances.rebalance(reads, q.RebalanceShow(rebalance=one.id))
        assert not isinstance(line, Refusal)
        assert (line.state, line.outcome, line.version > 0) == (one.state, one.outcome, True)
        assert [each.container for each in line.containers] == [m.container for m in one.plan]
        assert line.moved + line.failed + line.skipped + line.gone + line.left == len(one.over)
        assert (line.todo, line.moving) == (0, 0)
        assert line.uneven_planned <= line.uneven_before
        assert line.skew_planned <= line.skew_before


def test_there_are_stories_enough():
    every = [one for seed in SEEDS for one in read(seed)[0].fleet.rebalances.values()]

    assert "done" in {one.outcome for one in every}
    assert "moved" in {ended.outcome for one in every for ended in one.over}


@pytest.mark.parametrize("number", SEEDS)
def test_on_the_way_every_move_is_to_come_moving_or_over(number):
    world, _ = read(number)
    reads = Reads()
    for data in world.journal:
        reads.take(decode_frame(data))
        for one in reads.fleet.rebalances.values():
            line = rebalance_line(one, 1)
            states = [each.state for each in line.containers]
            assert states.count("to come") == line.todo
            assert states.count("moving") == line.moving
            assert rebalance_line(one, 1, whole=False).containers == ()


@pytest.mark.parametrize("number", SEEDS)
def test_lists_are_filtered_and_read_on(number):
    _, reads = read(number)
    every = list(rebalances.rebalances(reads, q.RebalanceList()))

    assert [one.id for one in every] == sorted(reads.fleet.rebalances, key=lambda n: -int(n[2:]))
    for line in every:
        after = list(rebalances.rebalances(reads, q.RebalanceList(after=line.id)))
        assert after == every[every.index(line) + 1 :]


def test_what_is_not_there_is_refused():
    missing = rebalances.rebalance(read(1)[1], q.RebalanceShow(rebalance="rb999"))

    assert isinstance(missing, Refusal)
    assert "rb999" in missing.detail


def test_a_line_is_json():
    one = next(one for seed in SEEDS for one in read(seed)[0].fleet.rebalances.values())

    assert msgspec.json.decode(msgspec.json.encode(rebalance_line(one, 1)))["goal"]
