"""Who may ask how much: rates, shares, turns; and that nobody starves."""

import asyncio

from domain.deadlines import DeadlinePassed
from domain.decider import Answered, Ask
from domain.host import RateHost
from domain.messages import AskId, Code, Instant, Refusal, Tenant
from domain.region import Region
from domain.tenant import OTHERS, Limits
from handlers.doors.turns import OWN_TURNS, Turns
from handlers.engine.admission import IN_FLIGHT_MAX, OPERATOR, Admission
from handlers.engine.desk import Desk
from tests.engine.test_desk import Shelf, settled

ACME, BRAVO = Tenant("acme"), Tenant("bravo")
BOOK = {OTHERS: Limits(OTHERS, rate=10, burst=3, in_flight=2)}
NOW = Instant(1_000_000)


def limit_of(refusal: Refusal | None) -> object:
    return None if refusal is None else refusal.facts["limit"]


class TestRate:
    def test_a_burst_is_let_in_and_then_one_an_interval(self) -> None:
        admission = Admission(BOOK)
        burst = [admission.charge(ACME, NOW) for _ in range(4)]

        assert [limit_of(one) for one in burst] == [None, None, None, "rate"]
        assert admission.charge(ACME, Instant(NOW + 99)) is not None
        assert admission.charge(ACME, Instant(NOW + 100)) is None

    def test_it_says_when_there_is_room_again_and_there_is(self) -> None:
        admission = Admission(BOOK)
        for _ in range(3):
            admission.charge(ACME, NOW)
        refusal = admission.charge(ACME, Instant(NOW + 30))

        assert refusal is not None
        assert (refusal.code, refusal.retry_after_ms) == (Code.RATE_LIMITED, 70)
        assert "10 commands a second" in refusal.detail
        assert admission.charge(ACME, Instant(NOW + 30 + refusal.retry_after_ms)) is None

    def test_over_a_long_time_it_is_the_rate(self) -> None:
        admission = Admission(BOOK)
        let_in = sum(admission.charge(ACME, Instant(NOW + ms)) is None for ms in range(10_000))

        assert let_in == 3 + 99  # the burst, and one each 100 ms after it

    def test_another_tenant_has_a_rate_of_its_own_and_the_operator_none(self) -> None:
        admission = Admission(BOOK)
        for _ in range(4):
            admission.charge(ACME, NOW)

        assert admission.charge(BRAVO, NOW) is None
        assert not any(admission.charge(OPERATOR, NOW) for _ in range(1_000))

    def test_a_clock_that_is_set_back_locks_nobody_out(self) -> None:
        admission = Admission(BOOK)
        for _ in range(4):
            admission.charge(ACME, Instant(NOW + 3_600_000))

        refusal = admission.charge(ACME, NOW)
        assert refusal is None or refusal.retry_after_ms <= 300


class TestInFlight:
    def test_one_too_many_is_turned_away_until_one_has_its_answer(self) -> None:
        admission = Admission(BOOK)
        let_in = [limit_of(admission.admit(ACME, NOW)) for _ in range(3)]
        admission.answered(ACME)

        assert let_in == [None, None, "in_flight"]
        assert admission.admit(ACME, Instant(NOW + 100)) is None
        assert admission.turned_away == 1

    def test_where_all_is_full_who_has_less_than_its_share_is_let_in(self) -> None:
        admission = Admission(
            {OTHERS: Limits(OTHERS, rate=100_000, burst=100_000, in_flight=9_999)}
        )
        for tenant in ("a", "b", "c"):
            for _ in range(IN_FLIGHT_MAX // 3 + 1):
                admission.admit(Tenant(tenant), NOW)

        assert limit_of(admission.admit(Tenant("a"), NOW)) == "region"
        assert admission.admit(ACME, NOW) is None


class TestTurns:
    def test_each_tenant_has_its_turn_and_its_order(self) -> None:
        turns: Turns[str] = Turns()
        for name in ("a1", "a2", "a3", "b1", "c1", "c2"):
            turns.put(Tenant(name[0]), name)

        assert [turns.take() for _ in range(len(turns))] == ["a1", "b1", "c1", "a2", "c2", "a3"]

    def test_our_own_come_first_and_starve_nobody(self) -> None:
        turns: Turns[str] = Turns()
        turns.own.extend(["own"] * 7)
        turns.put(ACME, "a1")
        turns.put(ACME, "a2")

        taken = [turns.take() for _ in range(len(turns))]

        assert taken == [*["own"] * OWN_TURNS, "a1", *["own"] * OWN_TURNS, "a2", "own"]


def ask(tenant: str, number: int) -> Ask:
    command = RateHost(host="nowhere", load_mark=1)
    return Ask(AskId(f"{tenant}-{number}"), command, tenant=Tenant(tenant))


async def test_behind_a_flood_a_quiet_tenant_and_our_own_come_into_the_next_frame() -> None:
    shelf = Shelf()
    region = Region()
    region.fleet.limits[OTHERS] = Limits(OTHERS, 100_000, 100_000, 20_000)
    desk = Desk(region, shelf.store, shelf.effects, lambda: NOW)
    flood = [desk.ask(ask("flood", n)) for n in range(3_000)]
    quiet = desk.ask(ask("quiet", 1))
    due = desk.ask(Ask(AskId("due mv1 5"), DeadlinePassed(saga="mv1", due=Instant(5))))
    running = asyncio.create_task(desk.run())

    answered = [await settled(one) for one in (quiet, due)]
    waiting = sum(not one.done() for one in flood)
    running.cancel()
    await asyncio.gather(running, *flood, return_exceptions=True)

    assert all(isinstance(one, Answered) for one in answered)
    assert {commit.ask for commit in shelf.frames[0]} >= {"quiet-1", "due mv1 5"}
    assert waiting > 2_000
