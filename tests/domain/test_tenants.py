"""Limits of tenants: set, inherited, reset; and who may set them."""

from domain.decider import Commit
from domain.facts import Fact
from domain.messages import Code, Refusal, Tenant, Unchanged
from domain.tenant import (
    OTHERS,
    Limits,
    LimitTenant,
    ResetTenant,
    TenantLimitsReset,
    TenantLimitsSet,
    limits_of,
)
from tests.examples import given

ACME = Tenant("acme")


def facts(commit: Commit[Fact]) -> tuple[Fact, ...]:
    return tuple(event.fact for event in commit.events)


class TestLimitTenant:
    def test_set(self) -> None:
        commit = given().when(LimitTenant(tenant="acme", rate=5, kept=200))

        assert facts(commit) == (TenantLimitsSet(ACME, 5, 1_000, 1_000, 200),)

    def test_what_is_left_out_stays(self) -> None:
        scene = given(LimitTenant(tenant="acme", rate=5))

        scene.ask(LimitTenant(tenant="acme", burst=9))

        assert limits_of(scene.fleet.limits, ACME) == Limits(ACME, 5, 9)

    def test_ignored_when_it_is_so_already(self) -> None:
        limit = LimitTenant(tenant="acme", rate=5)

        assert isinstance(given(limit).when(limit).answer, Unchanged)

    def test_refused_to_a_tenant(self) -> None:
        commit = given().ask(LimitTenant(tenant="acme", rate=9_999), tenant=ACME)

        assert isinstance(commit.answer, Refusal)
        assert commit.answer.code is Code.AUTH_DENIED

    def test_those_of_the_others_hold_for_who_has_none_and_are_the_base_of_new_ones(self) -> None:
        scene = given(LimitTenant(tenant=OTHERS, rate=7))
        assert limits_of(scene.fleet.limits, ACME).rate == 7

        scene.ask(LimitTenant(tenant="acme", burst=2))
        scene.ask(LimitTenant(tenant=OTHERS, rate=8))

        assert limits_of(scene.fleet.limits, ACME) == Limits(ACME, 7, 2)
        assert limits_of(scene.fleet.limits, Tenant("bravo")).rate == 8


class TestResetTenant:
    def test_reset(self) -> None:
        scene = given(LimitTenant(tenant="acme", rate=5))

        assert facts(scene.when(ResetTenant(tenant="acme"))) == (TenantLimitsReset(ACME),)
        assert limits_of(scene.fleet.limits, ACME) == Limits(OTHERS)

    def test_ignored_when_there_are_none(self) -> None:
        assert isinstance(given().when(ResetTenant(tenant="acme")).answer, Unchanged)
