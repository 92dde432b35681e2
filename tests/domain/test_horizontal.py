"""When triggers are to fire: usage held for a window, what is not known, and no flapping."""

from collections.abc import Sequence

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.agent import Sample
from domain.horizontal import (
    BOUNDS,
    USAGE,
    Member,
    Taken,
    Watch,
    full_of,
    look_at,
    taken,
    used_by,
)
from domain.messages import ContainerId, EnvironmentId, Instant, LayerName, OperationId, TriggerId
from domain.trigger import FireTrigger, Resource, Rule, Trigger
from restow.simulation.world import START

RULE = Rule("memory", 70, 30, min_count=1, max_count=6, window_s=60, cooldown_s=300)
LIMIT = 10


def trigger(name: str = "tr1", rule: Rule = RULE) -> Trigger:
    return Trigger(TriggerId(name), EnvironmentId("shop"), LayerName("app"), rule)


def uses(percent: float) -> Sample:
    return Sample(ContainerId("node1"), 0, int(percent / 100 * LIMIT * 128), 0, 0)


def members(*percents: float | None) -> list[Member]:
    return [Member(LIMIT, None if p is None else uses(p)) for p in percents]


def at(seconds: float) -> Instant:
    return Instant(START + int(seconds * 1_000))


def held(
    triggers: Sequence[Trigger], layer: list[Member], seconds: int = 60, count: int = 0
) -> FireTrigger | None:
    """Return what is fired when a layer has looked like this for so long."""
    watches: dict[TriggerId, Watch] = {}
    found = None
    for second in range(0, seconds + 1, 5):
        found, watches = look_at(triggers, watches, layer, count or len(layer), at(second))
        if second < seconds:
            assert found is None
    return found


class TestUsage:
    @pytest.mark.parametrize(
        ("resource", "used"),
        [("cpu", 2), ("memory", 3), ("network", 40), ("disk", 50), ("iops", 60)],
    )
    def test_each_resource_has_a_measure_of_its_own(self, resource: Resource, used: float) -> None:
        sample = Sample(ContainerId("node1"), 800, 384, 7, 40, io_kib_s=50, iops=60)

        assert used_by(resource, sample) == used

    def test_what_a_container_may_use_is_its_limit_or_what_was_said(self) -> None:
        assert [full_of(replace(RULE, resource=r), 8) for r in ("cpu", "memory")] == [8, 8]
        assert full_of(Rule("iops", 70), 8) == 1_000
        assert full_of(Rule("iops", 70, full=200), 8) == 200

    def test_the_silent_are_idle_where_more_is_asked_and_busy_where_less_is(self) -> None:
        seen = taken(RULE, members(80, None))

        assert (seen.least, seen.most) == (40, 90)

    def test_of_an_empty_layer_nothing_is_used(self) -> None:
        assert taken(RULE, []) == Taken(0, 0, 0)
        assert taken(RULE, []).least == taken(RULE, []).most == 0


class TestMore:
    def test_above_for_the_whole_window(self) -> None:
        fired = held([trigger()], members(80, 90))

        assert fired == FireTrigger(
            trigger=TriggerId("tr1"), count=2, wanted=3, usage=85, since=START, why=USAGE
        )

    def test_a_dip_begins_the_window_anew(self) -> None:
        _, high = look_at([trigger()], {}, members(80), 1, at(0))
        _, dip = look_at([trigger()], high, members(60), 1, at(30))
        _, again = look_at([trigger()], dip, members(80), 1, at(35))

        assert look_at([trigger()], again, members(80), 1, at(60))[0] is None
        assert look_at([trigger()], again, members(80), 1, at(95))[0] is not None

    def test_another_rule_begins_the_window_anew(self) -> None:
        _, high = look_at([trigger()], {}, members(80), 1, at(0))
        other = trigger(rule=replace(RULE, max_count=5))

        assert look_at([other], high, members(80), 1, at(60))[0] is None

    def test_a_firing_that_ended_before_it_looked_again_begins_the_window_anew(self) -> None:
        """The operation took less time than hosts let pass between what they tell."""
        brisk = trigger(rule=replace(RULE, cooldown_s=0))
        _, high = look_at([brisk], {}, members(80), 1, at(0))
        other = replace(brisk, id=TriggerId("tr2"), calm_until=at(59))
        for layer in ([replace(brisk, calm_until=at(59))], [brisk, other]):
            fired, again = look_at(layer, high, members(80, 80), 2, at(60))

            assert fired is None
            assert look_at(layer, again, members(80, 80), 2, at(119))[0] is None
            assert look_at(layer, again, members(80, 80), 2, at(120))[0] is not None

    def test_by_as_many_as_the_rule_says_up_to_its_most(self) -> None:
        two = trigger(rule=replace(RULE, add=4))

        assert (found := held([two], members(80))) is not None
        assert found.wanted == 5
        assert (found := held([two], members(*[80] * 4))) is not None
        assert found.wanted == 6

    def test_at_its_most_one_more_is_wanted_which_will_be_refused(self) -> None:
        found = held([trigger()], members(*[80] * 6))

        assert found is not None
        assert found.wanted == 7

    def test_a_silent_container_makes_none(self) -> None:
        assert held([trigger()], members(100, None)) is None


class TestFewer:
    def test_below_for_the_whole_window(self) -> None:
        found = held([trigger()], members(10, 20))

        assert found is not None
        assert (found.wanted, found.usage, found.why) == (1, 15, USAGE)

    def test_never_fewer_than_its_least(self) -> None:
        assert held([trigger()], members(10)) is None
        by_three = trigger(rule=replace(RULE, remove=3, min_count=2))
        assert (found := held([by_three], members(*[10] * 4))) is not None
        assert found.wanted == 2

    def test_not_where_those_that_stay_would_call_for_more_at_once(self) -> None:
        tight = trigger(rule=replace(RULE, add_above=70, remove_below=50))

        assert held([tight], members(40, 40)) is None
        assert held([tight], members(40, 40, 40)) is not None

    def test_as_many_as_the_others_can_do_without(self) -> None:
        by_three = trigger(rule=replace(RULE, remove=3))

        found = held([by_three], members(*[29] * 4))

        assert found is not None
        assert found.wanted == 2

    def test_not_where_another_trigger_would_call_for_more_at_once(self) -> None:
        cpu = trigger("tr2", Rule("cpu", 70, max_count=6))
        busy = [Member(LIMIT, Sample(ContainerId("a"), 2_000, 0, 0, 0))] * 2

        assert held([trigger()], busy) is not None
        assert held([trigger(), cpu], busy) is None

    def test_a_silent_container_makes_none(self) -> None:
        assert held([trigger()], members(0, None)) is None


class TestBounds:
    @pytest.mark.parametrize(("count", "wanted"), [(8, 6), (1, 2)])
    def test_too_many_or_too_few_are_made_good_at_once(self, count: int, wanted: int) -> None:
        kept = trigger(rule=replace(RULE, min_count=2))

        found, _ = look_at([kept], {}, members(*[50] * count), count, START)

        assert found is not None
        assert (found.wanted, found.why) == (wanted, BOUNDS)


class TestWaiting:
    @pytest.mark.parametrize(
        "how",
        [
            {"operation": OperationId("op1")},
            {"calm_until": Instant(START + 61_000)},
            {"again_at": Instant(START + 61_000), "more": True},
        ],
    )
    def test_nothing_fires(self, how: dict[str, Instant]) -> None:
        assert held([replace(trigger(), **how)], members(90)) is None

    def test_refused_to_add_it_may_still_remove(self) -> None:
        refused = replace(trigger(), again_at=Instant(START + 61_000), more=True)

        found = held([refused], members(10, 20))

        assert found is not None
        assert found.wanted == 1

    def test_what_was_seen_while_a_firing_was_under_way_is_forgotten(self) -> None:
        _, high = look_at([trigger()], {}, members(90), 1, at(0))

        assert high
        busy = replace(trigger(), operation=OperationId("op1"))
        assert look_at([busy], high, members(90), 1, at(30)) == (None, {})

    def test_the_cooldown_of_one_holds_for_all_of_the_layer(self) -> None:
        other = replace(trigger("tr2"), calm_until=at(61))

        assert held([trigger(), other], members(90)) is None

    def test_more_goes_before_fewer(self) -> None:
        low = trigger("tr1", Rule("iops", None, 30, max_count=6))
        found = held([low, trigger("tr2")], members(90, 90))

        assert found is not None
        assert (found.trigger, found.wanted) == ("tr2", 3)


@any_of(
    st.floats(0, 8),
    st.integers(1, 6),
    st.integers(21, 100),
    st.integers(1, 79),
    st.integers(1, 3),
)
def test_under_a_steady_load_it_changes_its_direction_at_most_once(
    load: float, start: int, above: int, below: int, step: int
) -> None:
    """However steep its steps: what it added it does not take away again, and so on for ever."""
    below = min(below, above - 20)
    rule = Rule("memory", above, below, step, step, 1, 6, window_s=5, cooldown_s=0)
    counts = [start]
    for _ in range(20):
        share = 100 * load / counts[-1]
        found = held([trigger(rule=rule)], members(*[share] * counts[-1]), 5)
        wanted = counts[-1] if found is None else found.wanted
        if wanted > rule.max_count or wanted == counts[-1]:
            break
        counts.append(wanted)
    else:
        pytest.fail(f"it never rests: {counts}")
    turns = [(b - a) * (c - b) < 0 for a, b, c in zip(counts, counts[1:], counts[2:], strict=False)]
    assert sum(turns) <= 1, counts
