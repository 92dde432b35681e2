"""What a decision is, and how it is kept: asks in, commits out.

One ask is decided completely and becomes one commit. A decision is a tuple of facts, with the
commands that belong to it (`then`: refused together with it), or a refusal.
"""

from typing import Generic, TypeVar

import msgspec

from domain.messages import Accepted, Answer, AskId, Command, Event, Instant, Refusal, Tenant
from domain.plan import Plan

F = TypeVar("F")


class Ask(msgspec.Struct, frozen=True):
    """A command with an identity; it has exactly one answer.

    `fingerprint` tells a repeated ask from another one under the same id; `expires` is the
    moment after which it must no longer be carried out. `tenant` is "" for the operator.
    """

    id: AskId
    command: Command
    actor: str = "operator"
    tenant: Tenant = Tenant("")
    cause: str = ""
    fingerprint: bytes = b""
    expires: Instant | None = None
    dry_run: bool = False
    reason: str = ""
    expect_version: int | None = None
    expect_plan: str | None = None


class Decision(msgspec.Struct, frozen=True):
    """What was decided: facts, commands that must succeed with them, and the answer's body."""

    facts: tuple[Event, ...] = ()
    then: tuple[Command, ...] = ()
    answer: Accepted | None = None


NOTHING = Decision()
Outcome = Decision | Refusal


class Recorded(msgspec.Struct, Generic[F], frozen=True, gc=False, array_like=True):
    """A fact in its place: the stream it belongs to, its version there, the ask within the commit.

    `asked` is "" for the commit's own ask and "/0", "/0/1" … for asks of sagas that followed.
    """

    stream: str
    version: int
    fact: F
    asked: str = ""


class Commit(msgspec.Struct, Generic[F], frozen=True, gc=False, array_like=True):
    """All that one ask led to. Append-only layout: new fields go last, with defaults."""

    ask: AskId
    actor: str
    cause: str
    at: Instant
    answer: Answer
    events: tuple[Recorded[F], ...]
    command: str = ""
    tenant: Tenant = Tenant("")
    fingerprint: bytes = b""
    reason: str = ""


class Frame(msgspec.Struct, Generic[F], frozen=True, gc=False, array_like=True):
    """One message of the journal: commits that were waiting together.

    `position` is the position of the first event; the first event ever has position 1. An epoch
    frame (the first act of a new writer) has no commits. `prev` is the hash of the frame before.
    """

    version: int
    epoch: int
    position: int
    prev: bytes
    commits: tuple[Commit[F], ...]


class Answered(msgspec.Struct, frozen=True):
    """What an asker is told once its ask is journaled.

    `position` is that of the last event written so far, which a reader passes as `min_position`.
    `plan` is what a dry run tells; nothing of it is stored.
    """

    answer: Answer
    position: int
    plan: Plan | None = None
