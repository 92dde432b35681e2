"""Who may ask how much: rates and shares of tenants, so that none waits because of another.

Nothing of this is written down: an ask that is turned away has no answer yet, and may come again
under the same id. The limits themselves are in the region's books (`domain/tenant.py`).
"""

from collections import Counter
from collections.abc import Mapping
from math import ceil

from domain.messages import Code, Instant, Refusal, Tenant
from domain.tenant import Limits, limits_of

OPERATOR = Tenant("")
OPERATOR_IN_FLIGHT_MAX = 16_384
"""Commands of the operator that may wait for their answers; it has no rate."""
IN_FLIGHT_MAX = 20_000
"""Commands of all tenants that may wait. Beyond it only who has less than its share is let in."""
AGAIN_MS = 200
"""When who has too much under way may try again; it goes as fast as answers come."""
SECOND_MS = 1_000
TENANTS_MAX = 10_000
"""Tenants whose rates are remembered; who has not asked for a while is forgotten first."""


class Admission:
    """Lets commands in, tenant by tenant. Tell it of every command that has its answer."""

    def __init__(self, book: Mapping[Tenant, Limits]) -> None:
        self._book = book
        self._in_flight: Counter[Tenant] = Counter()
        self._all = 0
        self._next: dict[Tenant, float] = {}
        self.turned_away = 0

    def admit(self, tenant: Tenant, now: Instant) -> Refusal | None:
        """Let one command in, or say which limit is against it. Pair it with `answered`."""
        refusal = self._too_many(tenant) or self.charge(tenant, now)
        if refusal is None:
            self._in_flight[tenant] += 1
            self._all += 1
        else:
            self.turned_away += 1
        return refusal

    def answered(self, tenant: Tenant) -> None:
        """Note that a command that was let in has its answer."""
        self._all -= 1
        self._in_flight[tenant] -= 1
        if not self._in_flight[tenant]:
            del self._in_flight[tenant]

    def _too_many(self, tenant: Tenant) -> Refusal | None:
        limit = OPERATOR_IN_FLIGHT_MAX
        if tenant != OPERATOR:
            limit = limits_of(self._book, tenant).in_flight
        theirs = self._in_flight.get(tenant, 0)
        if theirs >= limit:
            return too_many(tenant, limit)
        share = IN_FLIGHT_MAX // max(1, len(self._in_flight))
        return busy(self._all) if self._all >= IN_FLIGHT_MAX and theirs >= share else None

    def charge(self, tenant: Tenant, now: Instant) -> Refusal | None:
        """Take one of the commands that a tenant has a second, or say when there is one again.

        `_next` is when the tenant's next command would come if it asked at its rate; a burst may
        run so far ahead of the time (GCRA, one number for each tenant).
        """
        if tenant == OPERATOR:
            return None
        limits = limits_of(self._book, tenant)
        interval = SECOND_MS / limits.rate
        ahead_max = (limits.burst - 1) * interval
        # A clock that was set back must not lock anybody out.
        due = min(max(self._next.get(tenant, 0.0), now), now + ahead_max + interval)
        early_ms = due - now - ahead_max
        if early_ms > 0:
            return too_fast(limits, tenant, ceil(early_ms))
        self._next[tenant] = due + interval
        if len(self._next) > TENANTS_MAX:
            self._next = {one: at for one, at in self._next.items() if at > now}
        return None


def too_fast(limits: Limits, tenant: Tenant, again_ms: int) -> Refusal:
    return Refusal(
        Code.RATE_LIMITED,
        f"{tenant} may ask {limits.rate:,} commands a second, {limits.burst:,} of them at once;"
        f" send this one again in {again_ms:,} ms",
        "",
        {"limit": "rate", "tenant": tenant, "rate": limits.rate, "burst": limits.burst},
        again_ms,
    )


def too_many(tenant: Tenant, limit: int) -> Refusal:
    who = tenant or "the operator"
    return Refusal(
        Code.RATE_LIMITED,
        f"{limit:,} commands of {who} wait for their answers, which is the most at a time;"
        f" send this one again in {AGAIN_MS} ms",
        "",
        {"limit": "in_flight", "tenant": tenant, "in_flight": limit},
        AGAIN_MS,
    )


def busy(waiting: int) -> Refusal:
    return Refusal(
        Code.RATE_LIMITED,
        f"{waiting:,} commands wait already, {IN_FLIGHT_MAX:,} are the most of all tenants;"
        f" send this one again in {SECOND_MS:,} ms",
        "",
        {"limit": "region", "waiting": waiting, "waiting_max": IN_FLIGHT_MAX},
        SECOND_MS,
    )
