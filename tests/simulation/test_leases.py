"""Leases on clocks that drift, in towns that fall apart: whoever is lost runs nothing any more.

The simulation is that of `town.py`: the real lease and the real watch, two networks, engines that
do not know that they were replaced. Each planted bug is one rule taken away, and is caught.
"""

from collections.abc import Callable

import pytest

from domain.lease import Lease, Seats, Terms, terms_of
from domain.messages import HostId
from domain.watch import Watch
from restow.simulation.strikes import Fault, Strikes, live
from restow.simulation.town import Town

SECOND = 1_000
ALL = ("h1", "h2", "h3", "h4", "h5")
BANK = (
    449,  # jurors kept a host that had been fenced already, and its switch was armed again
)
"""Seeds that once found a bug, and what it was."""


def town(*faults: Fault, until_s: int = 400) -> Town:
    made = Town(1, 5)
    Strikes(made, faults)
    return made.run(until_s * SECOND)


def fenced(one: Town) -> set[str]:
    return {str(name) for name, machine in one.machines.items() if not machine.runs(one.now)}


class TestOneHost:
    def test_dead_is_lost_within_the_lease_and_the_margin(self) -> None:
        one = town(Fault(100 * SECOND, "die", ("h2",), 10_000 * SECOND), until_s=131)

        assert set(one.lost) == {"h2"}
        assert 23 <= one.lost["h2"] / SECOND - 100 <= 30  # type: ignore[index]

    def test_alone_it_is_fenced_before_it_is_lost(self) -> None:
        cut = Fault(100 * SECOND, "both", ("h2",), 10_000 * SECOND)

        assert fenced(town(cut, until_s=99)) == set()
        assert fenced(town(cut, until_s=121)) == {"h2"}
        assert not town(cut, until_s=121).lost
        assert set(town(cut, until_s=131).lost) == {"h2"}

    def test_that_returns_begins_a_new_term(self) -> None:
        one = town(Fault(100 * SECOND, "both", ("h2",), 60 * SECOND))

        assert not one.lost
        assert one.machines["h2"].term == 1  # type: ignore[index]
        assert fenced(one) == set()

    def test_cut_off_for_less_than_its_lease_nothing_happens(self) -> None:
        one = town(Fault(100 * SECOND, "both", ("h2",), 12 * SECOND))

        assert one.machines["h2"].term == 0  # type: ignore[index]
        assert one.machines["h2"].fenced == 0  # type: ignore[index]

    def test_whose_agent_is_paused_is_fenced_by_its_switch(self) -> None:
        one = town(Fault(100 * SECOND, "pause", ("h2",), 100 * SECOND), until_s=121)

        assert fenced(one) == {"h2"}


class TestManyHosts:
    def test_a_bus_outage_for_all_fences_nobody(self) -> None:
        one = town(Fault(100 * SECOND, "outage", (), 200 * SECOND))

        assert all(machine.fenced == 0 for machine in one.machines.values())
        assert fenced(one) == set()
        assert not any("HostLost" in line for line in one.trace)

    def test_the_side_with_the_majority_goes_on_and_the_other_is_fenced(self) -> None:
        one = town(Fault(100 * SECOND, "both", ("h1", "h2"), 1_000 * SECOND), until_s=125)

        assert fenced(one) == {"h1", "h2"}

    def test_many_silent_at_once_are_a_storm_and_nobody_is_lost(self) -> None:
        one = town(Fault(100 * SECOND, "die", ("h1", "h2", "h3"), 1_000 * SECOND))

        assert one.storms
        assert not one.lost

    def test_two_of_five_are_a_storm_too(self) -> None:
        one = town(Fault(100 * SECOND, "die", ("h1", "h2"), 1_000 * SECOND))

        assert one.storms
        assert not one.lost

    def test_those_who_are_left_are_not_fenced_when_most_are_dead(self) -> None:
        one = town(Fault(100 * SECOND, "die", ("h1", "h2", "h3"), 1_000 * SECOND))

        assert fenced(one) == {"h1", "h2", "h3"}

    def test_an_engine_that_takes_over_waits_before_it_says_that_one_is_lost(self) -> None:
        one = town(
            Fault(90 * SECOND, "both", ("h2",), 1_000 * SECOND),
            Fault(100 * SECOND, "lead", ("e2",), 0),
        )

        assert 100 + 35 <= one.lost["h2"] / SECOND <= 100 + 45  # type: ignore[index]


class TestWorlds:
    def test_nothing_runs_on_a_lost_host(self, seed: int) -> None:
        one = live(seed, minutes=5)

        assert not one.lost, one.story(f"lost for ever: {one.lost}")

    @pytest.mark.parametrize("known", BANK)
    def test_what_was_a_bug_once_is_none_again(self, known: int) -> None:
        live(known)


def test_all_terms_are_as_much_shorter_as_the_lease_is() -> None:
    usual, short = Terms(), terms_of(2_000)

    assert (short.lease_ms, short.margin_ms, short.lost_ms) == (2_000, 500, 2_500)
    assert short.steady_ms * 10 == usual.steady_ms


def test_jurors_are_told_where_the_others_are() -> None:
    one = town(until_s=60)
    watch = one.engines[0].watch
    beat = one.machines[HostId("h1")].lease.beat(0, 0, "10.0.0.1:7")

    grant = watch.hear(one.engines[0].region.fleet, beat, one.engines[0].clock.read(one.now))

    assert watch.watches(one.engines[0].region.fleet)
    assert grant.where == {"h1": "10.0.0.1:7"}


Plant = Callable[[pytest.MonkeyPatch], None]


def no_margin(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Terms, "lost_ms", property(lambda terms: terms.lease_ms // 2))


def no_majority(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Seats, "carried", lambda _seats, _by: True)


def no_switch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lease, "ends", property(lambda lease: max(lease.until, lease.kept_until) * 2))


def renewed_while_condemned(patch: pytest.MonkeyPatch) -> None:
    """Grant to whoever beats, lost or not, of whatever term."""

    def grant(watch: Watch, _fleet: object, seen: object, beat: object, _now: int) -> object:
        del watch, seen
        return beat.number, beat.echo, ""  # type: ignore[attr-defined]

    patch.setattr(Watch, "_grant", grant)
    patch.setattr(Lease, "lost", property(lambda _: False, lambda *_: None), raising=False)


def many(seeds: int) -> None:
    for seed in range(seeds):
        live(seed, minutes=4)


@pytest.mark.parametrize("plant", [no_margin, no_majority, no_switch, renewed_while_condemned])
def test_a_rule_taken_away_is_missed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)

    with pytest.raises(AssertionError, match="is lost and runs"):
        many(400)
