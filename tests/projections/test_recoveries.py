"""Lines of recoveries say what the region knows of them."""

from functools import cache

import pytest

from domain.fleet import VIGIL
from domain.loss import Storm, Vigil
from domain.messages import HostId, Instant, Refusal
from domain.recovery import LEFT, Fate
from domain.wire import decode_frame
from projections import answers
from projections import questions as q
from projections.reads import Reads
from projections.recoveries import recovery_line
from restow.simulation.world import World
from tests.simulation.test_losses import live

SEEDS = range(20)


@cache
def read(seed: int) -> tuple[World, Reads]:
    world = live(seed)
    reads = Reads()
    for data in world.journal:
        reads.take(decode_frame(data))
    return world, reads


@pytest.mark.parametrize("number", SEEDS)
def test_a_line_says_what_the_region_knows(number: int) -> None:
    world, reads = read(number)

    for one in world.fleet.recoveries.values():
        line = recovery_line(reads.recoveries[one.id])
        assert (line.host, line.outcome, line.state) == (one.host, one.outcome, "finished")
        assert [each.container for each in line.containers] == [each.container for each in one.over]
        assert line.left == sum(each.fate in LEFT for each in one.over)
        assert (line.todo, line.starting, line.over) == (0, 0, len(one.over))


def test_there_are_stories_enough() -> None:
    stories = [story.recovery for n in SEEDS for story in read(n)[1].recoveries.values()]

    assert {story.outcome for story in stories} == {"done", "failed"}
    assert {each.fate for story in stories for each in story.over} >= {
        Fate.RESTARTED,
        Fate.KEPT,
        Fate.UNPLACED,
    }


@pytest.mark.parametrize("number", SEEDS)
def test_on_the_way_every_container_is_to_come_started_or_over(number: int) -> None:
    world, _ = read(number)
    reads = Reads()

    for data in world.journal:
        reads.take(decode_frame(data))
        for story in reads.recoveries.values():
            line = recovery_line(story)
            assert len(line.containers) == line.todo + line.starting + line.over
            assert line.state in {"running", "waiting", "finished"}
            assert all(one.target for one in line.containers if one.state == "starting")


def test_recoveries_are_listed_newest_first_and_asked_for_by_name() -> None:
    reads = next(reads for n in SEEDS if len((reads := read(n)[1]).recoveries) > 1)

    every = list(answers.recoveries(reads, q.RecoveryList()))
    newest, oldest = every[0], every[-1]

    assert [one.id for one in answers.recoveries(reads, q.RecoveryList(after=newest.id))] == [
        one.id for one in every[1:]
    ]
    assert oldest in list(answers.recoveries(reads, q.RecoveryList(host=oldest.host)))
    assert answers.recovery(reads, q.RecoveryShow(recovery=newest.id)) == recovery_line(
        reads.recoveries[newest.id]
    )
    missing = answers.recovery(reads, q.RecoveryShow(recovery="rc999"))
    assert isinstance(missing, Refusal)
    assert missing.code.value == "recovery.not_found"


def test_a_storm_is_in_the_status_until_it_has_passed() -> None:
    reads = Reads()
    reads.fleet.vigil[VIGIL] = Vigil(storm=Storm((HostId("h1"),), "too many", Instant(1)))

    status = answers.status(reads, q.Status())

    assert (status.storm, status.silent) == ("too many", ("h1",))
    reads.fleet.vigil.clear()
    assert answers.status(reads, q.Status()).storm == ""
