"""Certificates of random worlds: made, checked, compared with the older view, and tampered with."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from domain.certificate import Certificate
from domain.certifier import Certifier
from domain.wire import chain, decode_frame, encode_frame
from domain.witness import Witness, check
from projections.operability import Operability
from restow.simulation.stories import live
from restow.simulation.world import World
from tests.simulation.mutations import (
    FORGERS,
    history,
    notices,
    put,
    renumbered,
    tampered,
    witnessed,
)

MUTATIONS = 1_000


def made(journal: Sequence[bytes]) -> list[Certificate]:
    """Return the certificates of a journal, in the order in which things ended."""
    certifier = Certifier()
    frames = [(decode_frame(data), chain(data)) for data in journal]
    return [one for frame, hash_ in frames for one in certifier.take(frame, hash_)]


def witness_of(journal: Sequence[bytes]) -> Witness:
    witness = Witness()
    for data in journal:
        witness.see(decode_frame(data), chain(data))
    return witness


def test_whatever_ended_has_a_certificate_that_holds_and_that_the_witness_finds_right(seed: int):
    world = live(seed)
    certificates = made(world.journal)
    witness = witness_of(world.journal)

    over = {*world.fleet.operations, *world.fleet.migrations}
    assert {one.subject for one in certificates} == over
    assert len(certificates) == len(over)
    assert [what for one in certificates for what in witness.check(one)] == []
    assert [one for one in certificates if not one.holds] == []


def test_certificates_and_the_older_view_count_alike(seed: int):
    compare(live(seed))


def test_there_is_something_to_compare():
    assert sum(compare(live(seed)) for seed in range(10)) > 20


def compare(world: World) -> int:
    """Compare each certificate with the view; return how many could be compared.

    The view begins when first all containers of a layer served, a certificate when asked.
    """
    view = older_view(world)
    compared = 0
    for one in made(world.journal):
        line = view[one.environment, one.layer]
        first = max(one.requested, line.since)
        counted = steps([(point.position, point.operable) for point in one.timeline])
        if line.since and first <= one.finished:
            known = steps(line.timeline)
            for position in range(first, one.finished + 1):
                assert counted(position) == known(position), (one.subject, position)
            compared += 1
            if line.since <= one.requested:
                assert line.minimum <= one.minimum
    return compared


def older_view(world: World):
    operability = Operability()
    for data in world.journal:
        operability.take(decode_frame(data))
    return {(line.environment, line.layer): line for line in operability.lines()}


def steps(timeline):
    """Return the function that a timeline is: what was counted at a position."""

    def at(position):
        return next(count for since, count in reversed(timeline) if since <= position)

    return at


def test_a_certificate_made_at_once_and_one_made_much_later_are_the_same():
    for seed in range(20):
        journal = live(seed).journal
        all_of_them = made(journal)
        half = made(journal[: len(journal) // 2])
        assert half == all_of_them[: len(half)]


def test_commits_alone_are_enough_to_check():
    for seed in range(20):
        journal = live(seed).journal
        commits = [commit for data in journal for commit in decode_frame(data).commits]
        assert [what for one in made(journal) for what in check(one, commits)] == []


def test_timelines_change_at_every_point_and_stay_within_their_positions():
    for seed in range(50):
        for one in made(live(seed).journal):
            positions = [point.position for point in one.timeline]
            assert positions[0] == one.requested
            assert positions == sorted(set(positions))
            assert positions[-1] <= one.finished
            for before, after in pairwise(one.timeline):
                assert (before.operable, before.containers) != (after.operable, after.containers)


def test_no_mutation_of_a_history_is_missed():
    """1,000 of them, each as three forgers would do it; `mutations.py` tells who noticed."""
    told = tampered(MUTATIONS)

    assert [name for figures in told.values() for name in figures.missed] == []
    assert told["as_is"].changed == MUTATIONS
    assert told["as_is"].by["journal"] > 0.95 * MUTATIONS
    assert told["renumbered"].by["journal"] < 0.05 * MUTATIONS, "this forger mends what it can"
    assert told["renumbered"].by["witness by counting"] > 0.4 * MUTATIONS


@pytest.mark.parametrize("seed_of_all", [3, 17])
def test_a_history_without_any_one_of_its_events_is_noticed_by_the_witness_alone(seed_of_all: int):
    true = history(seed_of_all)
    dropped = 0
    for number, frame in enumerate(true.frames()):
        for commit in frame.commits:
            for event in commit.events:
                left = tuple(one for one in commit.events if one is not event)
                frames = put(true.frames(), number, events=left)
                stored = [encode_frame(one) for one in renumbered(frames)]
                assert list(witnessed(true, stored)) != [], event
                dropped += 1
    assert dropped == true.head.position


def test_a_history_that_nobody_tampered_with_is_noticed_by_nobody():
    for seed in range(20):
        true = history(seed)
        for forger in FORGERS:
            assert list(notices(true, [encode_frame(one) for one in forger(true.frames())])) == []
