"""A trigger tried on recorded usage says when it would have fired, and does nothing."""

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from domain.agent import Sample, Usage
from domain.messages import ContainerId, HostId, Instant
from domain.rehearsal import Rehearsal, rehearse
from domain.trigger import Rule
from domain.triggers import AGAIN_MS
from restow.simulation.world import START

RULE = Rule("memory", 70, 30, min_count=2, max_count=4, window_s=10, cooldown_s=60)
LIMITS = {ContainerId("node1"): 8, ContainerId("node2"): 8}


def recorded(seconds: int, percent: Callable[[int], float]) -> Iterator[Usage]:
    """Give what two hosts said every five seconds: how much memory their containers used."""
    for second in range(0, seconds, 5):
        for number, name in enumerate(LIMITS):
            used = Sample(name, 0, int(percent(second) / 100 * 8 * 128), 0, 0)
            yield Usage(HostId(f"h{number}"), Instant(START + second * 1_000 + number), (used,))


def tried(rule: Rule, seconds: int, percent: Callable[[int], float]) -> Rehearsal:
    found = rehearse(rule, LIMITS, recorded(seconds, percent))
    assert found is not None
    return found


def test_it_says_when_it_would_have_fired_and_why():
    found = tried(RULE, 60, lambda _: 90)

    (would,) = found.firings
    assert (would.count, would.wanted, would.usage, would.refused) == (2, 3, 90, False)
    assert would.at - would.since >= 10_000
    assert (found.highest, found.count) == (90, 3)


def test_what_it_would_have_added_bears_its_part():
    found = tried(RULE, 200, lambda _: 90)

    assert [one.wanted for one in found.firings] == [3]
    assert found.lowest == 60


def test_it_would_have_followed_a_wave_up_and_down():
    found = tried(RULE, 400, lambda second: 90 if second < 150 else 10)

    assert [(one.count, one.wanted) for one in found.firings] == [(2, 3), (3, 2)]


def test_at_its_bounds_it_would_have_been_refused_later_and_later():
    found = tried(replace(RULE, max_count=2), 300, lambda _: 90)

    assert all(one.refused for one in found.firings)
    gaps = [b.at - a.at for a, b in zip(found.firings, found.firings[1:], strict=False)]
    assert len(gaps) == 3
    assert gaps[0] >= AGAIN_MS
    assert gaps[1] >= 2 * AGAIN_MS


def test_how_many_there_really_were_later_on_does_not_count():
    """The second container was really there from half a minute on; the rule would not have it."""
    heard = [
        usage
        for usage in recorded(200, lambda _: 50)
        if usage.host == "h0" or usage.at > START + 30_000
    ]

    found = rehearse(replace(RULE, min_count=1), LIMITS, heard)

    assert found is not None
    assert [(one.count, one.wanted) for one in found.firings] == [(1, 2)]


def test_in_a_calm_nothing_would_have_happened():
    assert tried(RULE, 120, lambda _: 50).firings == ()


def test_of_containers_of_other_layers_nothing_is_heard():
    assert rehearse(RULE, {ContainerId("node9"): 8}, recorded(60, lambda _: 90)) is None


def test_without_usage_nothing_can_be_said():
    assert rehearse(RULE, LIMITS, ()) is None
    assert rehearse(RULE, LIMITS, recorded(5, lambda _: 90)) is None
