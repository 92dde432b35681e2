"""Lines of evacuations say what the region knows of them; feasibility is read as it is asked."""

from functools import cache
from typing import Any

import msgspec
import pytest

from domain.evacuation import EvacuationRequested
from domain.feasibility import any_one_may_die, can_leave
from domain.messages import HostId, Refusal
from domain.wire import decode_frame
from projections import answers
from projections import questions as q
from projections.evacuations import FeasibilityLine, evacuation_line
from projections.reads import Reads
from restow.simulation.stories import live
from restow.simulation.wishes import EMPTYING
from restow.simulation.world import World

SEEDS = range(40)


@cache
def read(seed: int) -> tuple[World, Reads]:
    world = live(seed, EMPTYING)
    reads = Reads()
    for data in world.journal:
        reads.take(decode_frame(data))
    return world, reads


@pytest.mark.parametrize("number", SEEDS)
def test_a_line_says_what_the_region_knows(number):
    world, reads = read(number)

    for one in world.fleet.evacuations.values():
        line = evacuation_line(reads.evacuations[one.id])
        ended = [each.container for each in one.over]
        assert (line.host, line.outcome, line.state) == (one.host, one.outcome, one.state)
        assert [each.container for each in line.containers] == ended
        assert line.moved + line.failed + line.gone + line.left == len(ended)
        assert (line.todo, line.moving) == (0, 0)


def test_there_are_stories_enough():
    stories = [story for seed in SEEDS for story in read(seed)[1].evacuations.values()]

    outcomes = {story.evacuation.outcome for story in stories}
    assert outcomes == {"done", "failed", "stopped"}
    assert {story.evacuation.kind.value for story in stories} == {"evacuate", "restore"}


@pytest.mark.parametrize("number", SEEDS)
def test_on_the_way_every_container_is_to_come_moving_or_over(number):
    world, _ = read(number)
    reads = Reads()
    for data in world.journal:
        reads.take(decode_frame(data))
        for story in reads.evacuations.values():
            states = [each.state for each in evacuation_line(story).containers]
            line = evacuation_line(story, whole=False)
            assert line.containers == ()
            assert states.count("to come") == line.todo
            assert states.count("moving") == line.moving


@pytest.mark.parametrize("number", SEEDS)
def test_lists_are_filtered_and_read_on(number):
    _, reads = read(number)
    every = list(answers.evacuations(reads, q.EvacuationList()))

    assert [one.id for one in every] == sorted(reads.evacuations, key=lambda n: -int(n[2:]))
    for line in every:
        assert line in answers.evacuations(reads, q.EvacuationList(host=line.host))
        after = list(answers.evacuations(reads, q.EvacuationList(after=line.id)))
        assert after == every[every.index(line) + 1 :]


@pytest.mark.parametrize("number", SEEDS)
def test_feasibility_is_that_of_the_fleet_though_its_index_is_kept_up(number):
    world, reads = read(number)
    reads.occupancy()

    lines = {line.id: line for line in verdicts(reads)}

    assert {name: line.answer for name, line in lines.items()} == {
        verdict.host: verdict.answer for verdict in any_one_may_die(world.fleet)
    }
    (line,) = verdicts(reads, host="h01", targets=("h02",))
    assert line.places == can_leave(world.fleet, HostId("h01"), [HostId("h02")]).places


def test_the_index_is_kept_up_while_frames_are_taken():
    world, _ = read(3)
    reads = Reads()
    kept = reads.occupancy()
    for data in world.journal:
        reads.take(decode_frame(data))
        kept = reads.occupancy()
    fresh = read(3)[1].occupancy()
    names = [fresh.hosts.index(name) for name in kept.hosts]

    assert kept.free.tolist() == fresh.free[names].tolist()


def verdicts(reads: Reads, **of: Any) -> list[FeasibilityLine]:
    said = answers.feasibility(reads, q.HostFeasibility(**of))
    assert not isinstance(said, Refusal)
    return list(said)


def test_what_is_not_there_is_refused():
    _, reads = read(1)

    wrong = answers.feasibility(reads, q.HostFeasibility(host="h99"))
    missing = answers.evacuation(reads, q.EvacuationShow(evacuation="ev999"))

    assert isinstance(wrong, Refusal)
    assert isinstance(missing, Refusal)
    assert "h99" in wrong.detail
    assert "ev999" in missing.detail


def test_only_the_latest_are_kept(monkeypatch):
    world = next(world for world, _ in [read(seed) for seed in SEEDS] if asked(world) > 3)
    monkeypatch.setattr("projections.reads.STORIES_MAX", 2)
    reads = Reads()
    for data in world.journal:
        reads.take(decode_frame(data))

    assert len(reads.evacuations) == 2


def asked(world: World) -> int:
    return sum(isinstance(fact, EvacuationRequested) for _, fact in world.happened())


def test_a_line_is_json():
    _, reads = read(2)
    (story, *_) = reads.evacuations.values()

    assert msgspec.json.decode(msgspec.json.encode(evacuation_line(story)))["host"]
