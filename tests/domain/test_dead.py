"""Dead letters: kept once and not without bounds, retried, dropped, and gone when too old."""

from domain.dead import (
    KEEP_MS,
    LETTERS_A_TENANT_MAX,
    LETTERS_MAX,
    DeadAnswered,
    DeadDropped,
    DeadFailed,
    DeadKept,
    DeadRetried,
    DropDead,
    LetterState,
    RetryDead,
    SettleDead,
)
from domain.deadlines import DeadlinePassed
from domain.decider import Commit
from domain.facts import Fact
from domain.messages import Code, DeadId, Instant, Refusal, Tenant, Unchanged
from tests.domain.letters import poison
from tests.examples import given

DL1 = DeadId("dl1")


def facts(commit: Commit[Fact]) -> tuple[Fact, ...]:
    return tuple(event.fact for event in commit.events)


def code(commit: Commit[Fact]) -> Code:
    assert isinstance(commit.answer, Refusal)
    return commit.answer.code


class TestKeepDead:
    def test_kept(self) -> None:
        (kept,) = facts(given().ask(poison("CMD/7")))

        assert isinstance(kept, DeadKept)
        assert (kept.dead, kept.origin, kept.tenant, kept.body) == (DL1, "CMD/7", "acme", b"{")

    def test_ignored_when_it_is_kept_already(self) -> None:
        assert isinstance(given(poison("CMD/7")).ask(poison("CMD/7")).answer, Unchanged)

    def test_a_tenant_cannot_fill_the_journal(self) -> None:
        scene = given(*(poison(f"CMD/{n}") for n in range(LETTERS_A_TENANT_MAX)))

        assert isinstance(scene.ask(poison("CMD/x")).answer, Unchanged)
        assert facts(scene.ask(poison("CMD/y", "bravo")))

    def test_nor_can_many(self) -> None:
        scene = given(*(poison(f"CMD/{n}", f"t{n}") for n in range(LETTERS_MAX)))

        assert isinstance(scene.ask(poison("CMD/x", "one-more")).answer, Unchanged)

    def test_numbers_are_not_used_again(self) -> None:
        scene = given(poison("CMD/1"), DropDead(dead="dl1", reason="because"))

        (kept,) = facts(scene.ask(poison("CMD/2")))

        assert isinstance(kept, DeadKept)
        assert kept.dead == "dl2"


class TestRetryDead:
    def test_retried(self) -> None:
        scene = given(poison("CMD/1"))

        commit = scene.ask(RetryDead(dead="dl1", reason="fixed"), actor="ann")

        assert facts(commit) == (DeadRetried(DL1, 1, "ann", "fixed"),) or commit.reason
        assert scene.fleet.dead[DL1].state is LetterState.RETRYING

    def test_ignored_while_it_is_being_retried(self) -> None:
        scene = given(poison("CMD/1"), RetryDead(dead="dl1"))

        assert isinstance(scene.when(RetryDead(dead="dl1")).answer, Unchanged)

    def test_refused_when_there_is_none(self) -> None:
        assert code(given().when(RetryDead(dead="dl1"))) is Code.DEAD_NOT_FOUND

    def test_refused_when_only_the_beginning_was_kept(self) -> None:
        scene = given(poison("CMD/1", size=70_000))

        assert code(scene.when(RetryDead(dead="dl1"))) is Code.REQUEST_TOO_LARGE

    def test_refused_to_a_tenant(self) -> None:
        commit = given(poison("CMD/1")).ask(RetryDead(dead="dl1"), tenant=Tenant("acme"))

        assert code(commit) is Code.AUTH_DENIED


class TestSettleDead:
    def test_answered_it_is_gone(self) -> None:
        scene = given(poison("CMD/1"), RetryDead(dead="dl1"))

        commit = scene.ask(SettleDead(dead=DL1, attempt=1, code="layer.not_found", detail="no"))

        assert facts(commit) == (DeadAnswered(DL1, 1, "layer.not_found", "no"),)
        assert not scene.fleet.dead
        assert not scene.fleet.deadlines

    def test_poison_still_it_stays_and_may_be_retried_again(self) -> None:
        scene = given(poison("CMD/1"), RetryDead(dead="dl1"))

        commit = scene.ask(SettleDead(dead=DL1, attempt=1, code="internal", poison=True))
        again = scene.ask(RetryDead(dead="dl1"))

        assert facts(commit) == (DeadFailed(DL1, 1, "internal", ""),)
        assert facts(again) == (DeadRetried(DL1, 2, "operator"),)

    def test_ignored_when_it_was_dropped_meanwhile_or_is_of_an_earlier_attempt(self) -> None:
        scene = given(poison("CMD/1"), RetryDead(dead="dl1"))
        early = scene.ask(SettleDead(dead=DL1, attempt=0))
        scene.ask(DropDead(dead="dl1", reason="because"))
        late = scene.ask(SettleDead(dead=DL1, attempt=1))

        assert isinstance(early.answer, Unchanged)
        assert isinstance(late.answer, Unchanged)


class TestDropDead:
    def test_dropped(self) -> None:
        commit = given(poison("CMD/1")).ask(DropDead(dead="dl1", reason="a test"), actor="ann")

        assert facts(commit) == (DeadDropped(DL1, "ann", "a test"),)

    def test_refused_when_there_is_none(self) -> None:
        assert code(given().when(DropDead(dead="dl1", reason="a test"))) is Code.DEAD_NOT_FOUND


class TestTooOld:
    def test_the_oldest_waits_for_its_end_and_goes_alone(self) -> None:
        scene = given(poison("CMD/1"))
        end = scene.fleet.deadlines["dead"]
        assert end == scene.fleet.dead[DL1].at + KEEP_MS
        scene.pass_(60_000)
        scene.ask(poison("CMD/2"))
        scene.world.now = Instant(end + 1)

        (dropped,) = facts(scene.ask(DeadlinePassed(saga="dead", due=end)))

        assert isinstance(dropped, DeadDropped)
        assert (dropped.dead, dropped.by) == ("dl1", "clock")
        assert list(scene.fleet.dead) == ["dl2"]
        assert scene.fleet.deadlines["dead"] > end
