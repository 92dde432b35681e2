"""An agent begins each order at most once and gives each one answer, whatever comes how often."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from domain import agent as ag
from domain import memory as mem
from domain.agent import Verdict, hand_over, receive, whereabouts
from domain.memory import Agent, AnyEntry, evolve
from domain.messages import AskId, ContainerId, HostId, Instant, MigrationId, OrderId
from domain.orders import (
    AnyWork,
    CallOff,
    MigrateOut,
    Order,
    ReportHealth,
    ReportOrder,
    Restart,
    Start,
)

H1, H2 = HostId("h01"), HostId("h02")
WEB = ContainerId("node1")
MV1 = MigrationId("mv1")
NOW = Instant(1_000)
OUT = MigrateOut(MV1, H2, 30_000, 4, 8, 10)


def order(name: str, work: AnyWork | None = None, *, epoch: int = 1, expires: int = 0) -> Order:
    return Order(OrderId(name), H1, WEB, work or Restart(), expires=Instant(expires), epoch=epoch)


def report(name: str, *, done: bool = True) -> ReportOrder:
    return ReportOrder(ask=AskId(f"{name}/r"), host=H1, order=OrderId(name), done=done)


def write(agent: Agent, *entries: AnyEntry) -> Agent:
    return reduce(evolve, entries, agent)


def hear(agent: Agent, heard: Order, now: int = NOW) -> tuple[Agent, Verdict]:
    entries, verdict = receive(agent, heard, Instant(now))
    return write(agent, *entries), verdict


def took(*orders: Order) -> Agent:
    return write(Agent(H1), *(mem.OrderTaken(taken) for taken in orders))


def test_an_order_is_begun_once_and_answered_again_and_again():
    agent, first = hear(Agent(H1), order("o1"))
    agent, second = hear(agent, order("o1"))
    agent = write(agent, mem.ReportOwed(report("o1")), mem.ReportAcknowledged(AskId("o1/r")))
    assert agent.owed == {}
    agent, third = hear(agent, order("o1"))
    assert (first, second) == (ag.Begin(order("o1")), ag.UnderWay())
    assert third == ag.Again(report("o1"))
    assert agent.owed == {"o1/r": report("o1")}


def test_an_order_of_an_older_epoch_is_refused_without_an_answer():
    agent, _ = hear(Agent(H1), order("o1", epoch=7))
    after, verdict = hear(agent, order("o2", epoch=6))
    assert verdict == ag.Stale(7)
    assert after == agent


def test_an_order_for_another_host_is_not_ours():
    mine = Agent(H2)
    assert hear(mine, order("o1")) == (mine, ag.Stale(0))


def test_an_expired_order_is_answered_and_never_begun():
    agent, verdict = hear(Agent(H1), order("o1", expires=999))
    assert isinstance(verdict, ag.Declined)
    assert (verdict.report.done, verdict.report.detail) == (False, "expired")
    assert agent.owed == {"o1/r": verdict.report}
    assert hear(agent, order("o1", expires=5_000))[1] == ag.Again(verdict.report)


def test_an_order_begins_at_the_moment_it_expires():
    assert isinstance(hear(Agent(H1), order("o1", expires=1_000))[1], ag.Begin)


def test_a_container_that_was_not_started_in_time_does_not_run():
    start = Start("web", "nginx", 1, 1, 1, "10.0.0.1")
    _, verdict = hear(Agent(H1), order("o1", start, expires=1))
    assert isinstance(verdict, ag.Declined)
    assert not verdict.report.running


def test_calling_off_is_never_too_late():
    assert isinstance(hear(Agent(H1), order("o1", CallOff(MV1), expires=1))[1], ag.Begin)


def test_a_migration_that_was_called_off_before_it_arrived_never_begins():
    agent = took(order("o2", CallOff(MV1)))
    _, verdict = hear(agent, order("o1", OUT))
    assert isinstance(verdict, ag.Declined)
    assert not verdict.report.done
    assert verdict.report.located == H1


def test_what_is_called_off_is_not_handed_over():
    agent = took(order("o1", OUT), order("o2", CallOff(MV1)))
    assert hand_over(agent, MV1, granted_ms=0, frozen_ms=1) is None


def test_what_is_handed_over_is_not_called_off():
    agent = took(order("o1", OUT))
    entry = hand_over(agent, MV1, granted_ms=0, frozen_ms=1)
    assert entry is not None
    agent = write(agent, entry, mem.OrderTaken(order("o2", CallOff(MV1))))
    assert agent.moves[MV1].standing is mem.Standing.HANDED_OVER
    assert whereabouts(agent, WEB) == H2


def test_what_has_stayed_is_not_handed_over():
    agent = write(took(order("o1", OUT)), mem.ReportOwed(report("o1", done=False)))
    assert hand_over(agent, MV1, granted_ms=0, frozen_ms=1) is None
    assert whereabouts(agent, WEB) is None


def test_only_the_last_word_about_health_is_owed():
    def health(number: int, *, healthy: bool) -> mem.ReportOwed:
        ask = AskId(f"h01/1/h{number}")
        return mem.ReportOwed(ReportHealth(ask=ask, host=H1, container=WEB, healthy=healthy))

    agent = write(Agent(H1), health(1, healthy=True), health(2, healthy=False))
    assert list(agent.owed) == ["h01/1/h2"]


def test_old_answers_are_forgotten_but_none_that_is_owed():
    agent = write(Agent(H1), mem.ReportOwed(report("owed")))
    names = [f"o{number}" for number in range(mem.ANSWERS_MAX + 10)]
    for name in names:
        given = report(name)
        agent = write(agent, mem.ReportOwed(given), mem.ReportAcknowledged(given.ask))
    assert len(agent.answered) <= mem.ANSWERS_MAX + 1
    assert "owed" in agent.answered
    assert names[0] not in agent.answered
    assert names[-1] in agent.answered


WORKS = st.sampled_from([Restart(), OUT, CallOff(MV1)])
HEARD = st.builds(
    order,
    st.sampled_from(["o1", "o2", "o3", "o4"]),
    WORKS,
    epoch=st.integers(1, 3),
    expires=st.sampled_from([0, 1, 5_000]),
)
STEPS = st.lists(st.one_of(HEARD, st.sampled_from(["answer", "hand over", "acknowledge"])))


@given(STEPS)
def test_each_order_begins_at_most_once_and_has_one_answer_whatever_comes(steps):
    agent, begun = Agent(H1), list[OrderId]()
    answers: dict[OrderId, ReportOrder] = {}
    for step in steps:
        if isinstance(step, Order):
            agent, verdict = hear(agent, step)
            if isinstance(verdict, ag.Begin):
                begun.append(step.id)
            if isinstance(verdict, ag.Again | ag.Declined):
                answers.setdefault(step.id, verdict.report)
                assert answers[step.id] == verdict.report
        elif step == "answer" and agent.under_way:
            name = next(iter(agent.under_way))
            answers[name] = report(name)
            agent = write(agent, mem.ReportOwed(answers[name]))
        elif step == "acknowledge" and agent.owed:
            agent = write(agent, mem.ReportAcknowledged(next(iter(agent.owed))))
        elif step == "hand over" and (entry := hand_over(agent, MV1, granted_ms=0, frozen_ms=0)):
            agent = write(agent, entry)
    assert len(begun) == len(set(begun))
    assert set(begun) == {*agent.under_way} | (set(begun) & {*agent.answered})
    assert agent.answered == answers


@given(STEPS)
def test_a_migration_is_either_called_off_or_handed_over_never_both(steps):
    agent, seen = Agent(H1), set()
    for step in steps:
        if isinstance(step, Order):
            agent, _ = hear(agent, step)
        elif entry := hand_over(agent, MV1, granted_ms=0, frozen_ms=0):
            agent = write(agent, entry)
        seen |= {move.standing for move in agent.moves.values()}
    assert not {mem.Standing.CALLED_OFF, mem.Standing.HANDED_OVER} <= seen


def test_an_order_of_another_term_is_refused_without_an_answer():
    agent = write(Agent(H1), mem.TermBegun(1))
    entries, verdict = receive(agent, order("o1"), NOW)
    assert (entries, verdict) == ((), ag.Stale(0))


def test_with_a_new_term_nothing_is_left_that_could_begin_or_be_handed_over():
    agent = took(order("o1"), order("o2", OUT))
    agent = write(agent, mem.ReportOwed(report("o3")))
    agent = write(agent, mem.ArrivalPrepared(MigrationId("mv2"), WEB, H2, b"image"))

    agent = write(agent, mem.TermBegun(1))

    assert (agent.term, agent.under_way, agent.owed) == (1, {}, {})
    assert hand_over(agent, MV1, granted_ms=0, frozen_ms=0) is None
    assert agent.arrivals[MigrationId("mv2")].stage is mem.Stage.DROPPED


def test_what_was_handed_over_before_the_term_is_gone():
    agent = write(took(order("o1", OUT)), mem.HandedOver(MV1, 0, 0), mem.TermBegun(1))
    assert agent.moves[MV1].standing is mem.Standing.GONE
