"""A tenant: how much of the region it may ask for at a time, so that no other one waits for it.

Defaults hold until an operator sets something else, for one tenant or for all that have no
limits of their own. The operator has no rate; who set the limits must be able to raise them.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.decider import NOTHING, Decision, Outcome
from domain.messages import TENANT, Event, PublicCommand, Tenant

OTHERS = Tenant("_others")
"""Stands for every tenant without limits of its own; no tenant can be called so."""

RATE_DEFAULT = 500
RATE_MAX = 100_000
BURST_DEFAULT = 1_000
BURST_MAX = 100_000
IN_FLIGHT_DEFAULT = 1_000
IN_FLIGHT_MAX = 20_000
KEPT_DEFAULT = 10_000
KEPT_MIN = 100
KEPT_MAX = 1_000_000

TenantName = Annotated[
    str,
    Meta(
        pattern=TENANT,
        min_length=1,
        max_length=63,
        description="a tenant, or `_others`: every tenant without limits of its own",
    ),
]
Rate = Annotated[int, Meta(ge=1, le=RATE_MAX, description="commands a second")]
Burst = Annotated[int, Meta(ge=1, le=BURST_MAX, description="commands at once")]
InFlight = Annotated[int, Meta(ge=1, le=IN_FLIGHT_MAX, description="commands under way")]
Kept = Annotated[int, Meta(ge=KEPT_MIN, le=KEPT_MAX, description="commands kept by the bus")]


class LimitTenant(PublicCommand, frozen=True, kw_only=True, tag="tenant.limit"):
    """Set how much a tenant may ask for; what is left out stays as it is.

    `rate` and `burst`: commands a second, and how many of them may come at once; `in_flight`:
    commands that wait for their answer; `kept`: commands that wait in the durable door's stream.
    """

    tenant: TenantName
    rate: Rate | None = None
    burst: Burst | None = None
    in_flight: InFlight | None = None
    kept: Kept | None = None


class ResetTenant(PublicCommand, frozen=True, kw_only=True, tag="tenant.reset"):
    """Forget the limits that were set for a tenant; those of `_others` or the defaults hold."""

    tenant: TenantName


TenantCommand = LimitTenant | ResetTenant


class TenantLimitsSet(Event, frozen=True, gc=False, tag="tenant.limits-set"):
    tenant: Tenant
    rate: int
    burst: int
    in_flight: int
    kept: int


class TenantLimitsReset(Event, frozen=True, gc=False, tag="tenant.limits-reset"):
    tenant: Tenant


TenantEvent = TenantLimitsSet | TenantLimitsReset


class Limits(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a tenant may ask for: commands a second, at once, under way, and kept."""

    tenant: Tenant
    rate: int = RATE_DEFAULT
    burst: int = BURST_DEFAULT
    in_flight: int = IN_FLIGHT_DEFAULT
    kept: int = KEPT_DEFAULT


LimitsBook = Mapping[Tenant, Limits]


def limits_of(book: LimitsBook, tenant: Tenant) -> Limits:
    """Return the limits that hold for a tenant: its own, those of the others, the defaults."""
    found = book.get(tenant) or book.get(OTHERS)
    return found if found is not None else Limits(OTHERS)


def evolve(event: TenantEvent) -> Limits | None:
    if isinstance(event, TenantLimitsReset):
        return None
    return Limits(event.tenant, event.rate, event.burst, event.in_flight, event.kept)


def decide(book: LimitsBook, command: TenantCommand) -> Outcome:
    if isinstance(command, LimitTenant):
        return limit(book, command)
    return reset(book, command)


def limit(book: LimitsBook, ask: LimitTenant) -> Outcome:
    tenant = Tenant(ask.tenant)
    now = limits_of(book, tenant)
    wanted = TenantLimitsSet(
        tenant,
        ask.rate or now.rate,
        ask.burst or now.burst,
        ask.in_flight or now.in_flight,
        ask.kept or now.kept,
    )
    return NOTHING if book.get(tenant) == evolve(wanted) else Decision((wanted,))


def reset(book: LimitsBook, ask: ResetTenant) -> Outcome:
    tenant = Tenant(ask.tenant)
    return Decision((TenantLimitsReset(tenant),)) if tenant in book else NOTHING
