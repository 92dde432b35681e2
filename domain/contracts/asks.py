"""From a command to an ask: who asks, under which id, until when, and what makes it the same ask.

An ask that is late is not refused here: it may have been carried out long ago, and then whoever
asks again is told so. The region looks at its answers first and at `expires` after that.
"""

import re
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from domain.decider import Ask
from domain.messages import (
    REMEMBER_MS,
    AskId,
    Code,
    Instant,
    PublicCommand,
    Refusal,
    Tenant,
)

FINGERPRINT_BYTES = 16
ID_MAX = 128
"""Characters of an id."""
ACTOR_MAX = 128
"""Characters of an actor's name."""
TENANT_MAX = 63
"""Characters of a tenant's name."""

_ID = re.compile(rf"[\x21-\x7e]{{1,{ID_MAX}}}")
_ACTOR = re.compile(rf"[\x20-\x7e]{{1,{ACTOR_MAX}}}")
_TENANT = re.compile(rf"(?=.{{1,{TENANT_MAX}}}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_canonical = msgspec.msgpack.Encoder(order="deterministic")


class Asker(msgspec.Struct, frozen=True):
    """Who asks, and under which id; `expires` counts where the command says nothing."""

    id: str
    actor: str = "operator"
    tenant: str = ""
    expires: Instant | None = None


def make_ask(command: PublicCommand, asker: Asker, now: Instant) -> Ask | Refusal:
    """Return the ask; refuses with `request.invalid` or `limits.out_of_range`."""
    expires = asker.expires
    if command.expires_at is not None:
        expires = Instant(int(command.expires_at.timestamp() * 1_000))
    refused = wrong_asker(command, asker) or too_far(expires, now)
    if refused is not None:
        return refused
    return Ask(
        id=AskId(asker.id),
        command=command,
        actor=asker.actor,
        tenant=Tenant(asker.tenant),
        fingerprint=fingerprint(command, asker.tenant),
        expires=expires,
        dry_run=command.dry_run,
        reason=command.reason,
        expect_version=command.expect_version,
        expect_plan=command.expect_plan,
    )


def fingerprint(command: PublicCommand, tenant: str = "") -> bytes:
    """Return what two asks of one id must share: tenant and command, but for id and expiry.

    Defaults are left out and names sorted, so how it was written makes no difference.
    """
    if command.id is not None or command.expires_at is not None:
        command = replace(command, id=None, expires_at=None)
    canonical = _canonical.encode(command)
    return blake2b(canonical, digest_size=FINGERPRINT_BYTES, key=tenant.encode()).digest()


def wrong_asker(command: PublicCommand, asker: Asker) -> Refusal | None:
    if not is_id(asker.id):
        detail = f"the id must be 1..{ID_MAX} printable characters without blanks"
        return Refusal(Code.REQUEST_INVALID, detail, "header Nats-Msg-Id")
    if command.id is not None and command.id != asker.id:
        detail = f"id is {command.id} in the body and {asker.id} in the header; send one"
        return Refusal(Code.REQUEST_INVALID, detail, "$.id")
    if asker.tenant and not _TENANT.fullmatch(asker.tenant):
        detail = f"the tenant must be a DNS label: 1..{TENANT_MAX} of a-z, 0-9 and inner hyphens"
        return Refusal(Code.REQUEST_INVALID, detail, "header Restow-Tenant")
    if not _ACTOR.fullmatch(asker.actor):
        detail = f"the actor must be 1..{ACTOR_MAX} printable ASCII characters"
        return Refusal(Code.REQUEST_INVALID, detail, "header Restow-Actor")
    return None


def is_id(text: str) -> bool:
    """Tell whether a command may be called so."""
    return bool(_ID.fullmatch(text))


def too_far(expires: Instant | None, now: Instant) -> Refusal | None:
    if expires is None or expires <= now + REMEMBER_MS:
        return None
    ahead_h = (expires - now) / 3_600_000
    return Refusal(
        Code.LIMITS_OUT_OF_RANGE,
        f"expires_at must be at most 24 h ahead, got {ahead_h:,.1f} h: answers are remembered 24 h",
        "$.expires_at",
        {"ahead_ms": expires - now, "ahead_ms_max": REMEMBER_MS},
    )
