"""Lines of what bounds tenants: their limits, and the dead letters of their commands."""

from domain.dead import KEEP_MS, Letter
from domain.messages import Instant, Tenant
from domain.tenant import OTHERS, LimitsBook, limits_of
from projections.lines import Line


class TenantLine(Line, frozen=True, gc=False):
    """The limits of a tenant. `_others` is every tenant without limits of its own.

    `source`: own (an operator set them), others (those of `_others`) or default. `rate` is
    commands a second, `burst` at once, `in_flight` under way, `kept` in the durable door's stream.
    """

    id: str
    rate: int
    burst: int
    in_flight: int
    kept: int
    source: str
    version: int


class DeadLine(Line, frozen=True, gc=False):
    """A dead letter. `code` and `detail` say why; `bytes` of its body were sent, `body` is kept.

    `body` is shown as text, "" in lists; `origin` is its place in the stream CMD.
    """

    id: str
    state: str
    tenant: str
    command: str
    ask: str
    code: str
    detail: str
    bytes: int
    whole: bool
    attempt: int
    at: Instant
    until: Instant
    origin: str
    body: str
    version: int


def tenant_line(tenant: Tenant, book: LimitsBook, version: int) -> TenantLine:
    limits = limits_of(book, tenant)
    own, others = tenant in book, OTHERS in book
    return TenantLine(
        id=tenant,
        rate=limits.rate,
        burst=limits.burst,
        in_flight=limits.in_flight,
        kept=limits.kept,
        source="own" if own else "others" if others else "default",
        version=version,
    )


def dead_line(letter: Letter, version: int, *, body: bool) -> DeadLine:
    return DeadLine(
        id=letter.id,
        state=letter.state.value,
        tenant=letter.tenant,
        command=letter.command,
        ask=letter.ask,
        code=letter.code,
        detail=letter.detail,
        bytes=letter.bytes,
        whole=letter.whole,
        attempt=letter.attempt,
        at=letter.at,
        until=Instant(letter.at + KEEP_MS),
        origin=letter.origin,
        body=letter.body.decode(errors="replace") if body else "",
        version=version,
    )
