"""Dead letters: commands of the durable door that could not be carried out, kept for a human.

A command is poison when its bytes are no command, or when it met a mistake of ours. It is answered
once, and its letter is kept, with the bytes, until somebody retries or drops it, or it is too old.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from domain.decider import NOTHING, Decision, Outcome
from domain.messages import (
    DEAD,
    AskId,
    Code,
    Command,
    DeadId,
    Event,
    Instant,
    PublicCommand,
    Refusal,
    Tenant,
)

LETTERS_MAX = 1_000
"""Dead letters of a region; what comes beyond is answered, and not kept."""
LETTERS_A_TENANT_MAX = 100
"""Dead letters of a tenant, so that none can fill the journal with what is no command."""
BODY_KEPT_BYTES = 16 * 1_024
"""Of a longer body only the beginning is kept, and it cannot be retried."""
KEEP_MS = 14 * 24 * 60 * 60 * 1_000
"""How long a letter is kept that nobody looks at."""
CLOCK = "dead"
"""The name under which the oldest letter waits for its end (`Fleet.deadlines`)."""

DeadName = Annotated[str, Meta(pattern=DEAD)]


class RetryDead(PublicCommand, frozen=True, kw_only=True, tag="dead.retry"):
    """Carry a dead letter's command out after all, as its tenant asked for it.

    Its outcome is told on the tenant's `res` subject; a letter that is poison still stays.
    """

    dead: DeadName


class DropDead(PublicCommand, frozen=True, kw_only=True, tag="dead.drop"):
    """Throw a dead letter away. `reason` must say why."""

    dead: DeadName


class KeepDead(Command, frozen=True, kw_only=True, tag="dead.keep"):
    """Keep a command that is poison. Internal; `body` is whole or the beginning of it."""

    origin: str
    tenant: Tenant
    ask: AskId
    command: str
    code: Code
    detail: str
    body: bytes
    bytes: int
    headers: Mapping[str, str] = {}


class SettleDead(Command, frozen=True, kw_only=True, tag="dead.settle"):
    """Say what a retry was answered; `poison`: it is as dead as before. Internal."""

    dead: DeadId
    attempt: int
    code: str = ""
    detail: str = ""
    poison: bool = False


class TryDurable(Command, frozen=True, kw_only=True, tag="dead.try"):
    """Note that a command is begun of which an engine may have died before. Internal."""


DeadCommand = RetryDead | DropDead | KeepDead | SettleDead | TryDurable


class DeadKept(Event, frozen=True, gc=False, tag="dead.kept"):
    """A command of the durable door is poison; `origin` is its place in the stream."""

    dead: DeadId
    origin: str
    tenant: Tenant
    ask: AskId
    command: str
    code: str
    detail: str
    body: bytes
    bytes: int
    headers: Mapping[str, str] = {}


class DeadRetried(Event, frozen=True, gc=False, tag="dead.retried"):
    dead: DeadId
    attempt: int
    by: str
    reason: str = ""


class DeadAnswered(Event, frozen=True, gc=False, tag="dead.answered"):
    """A retry got its answer: taken (no `code`) or refused by a rule; the letter is gone."""

    dead: DeadId
    attempt: int
    code: str = ""
    detail: str = ""


class DeadFailed(Event, frozen=True, gc=False, tag="dead.failed"):
    """A retry met the same or another poison; the letter stays."""

    dead: DeadId
    attempt: int
    code: str
    detail: str


class DeadDropped(Event, frozen=True, gc=False, tag="dead.dropped"):
    dead: DeadId
    by: str
    reason: str


DeadEvent = DeadKept | DeadRetried | DeadAnswered | DeadFailed | DeadDropped


class LetterState(StrEnum):
    DEAD = "dead"
    RETRYING = "retrying"


class Letter(msgspec.Struct, frozen=True, array_like=True):
    """What must be remembered of a dead letter: whose it is, why, and the bytes to retry."""

    id: DeadId
    origin: str
    tenant: Tenant
    ask: AskId
    command: str
    code: str
    detail: str
    body: bytes
    bytes: int
    headers: Mapping[str, str]
    at: Instant
    state: LetterState = LetterState.DEAD
    attempt: int = 0

    @property
    def whole(self) -> bool:
        """Whether all of the body was kept."""
        return len(self.body) == self.bytes


Letters = Mapping[DeadId, Letter]


def evolve(letter: Letter | None, event: DeadEvent, at: Instant) -> Letter | None:
    match event:
        case DeadKept():
            return Letter(
                event.dead,
                event.origin,
                event.tenant,
                event.ask,
                event.command,
                event.code,
                event.detail,
                event.body,
                event.bytes,
                event.headers,
                at,
            )
        case DeadRetried(attempt=attempt) if letter is not None:
            return replace(letter, state=LetterState.RETRYING, attempt=attempt)
        case DeadFailed(code=code, detail=detail) if letter is not None:
            return replace(letter, state=LetterState.DEAD, code=code, detail=detail)
        case _:
            return None


def end_of(letters: Letters) -> Instant | None:
    """Return when the oldest letter has been kept for long enough, None if there is none."""
    oldest = min((letter.at for letter in letters.values()), default=None)
    return None if oldest is None else Instant(oldest + KEEP_MS)


def keep(letters: Letters, ask: KeepDead, number: int) -> Outcome:
    """Keep a letter once, if there is room for it."""
    if any(one.origin == ask.origin for one in letters.values()):
        return NOTHING
    theirs = sum(one.tenant == ask.tenant for one in letters.values())
    if len(letters) >= LETTERS_MAX or theirs >= LETTERS_A_TENANT_MAX:
        return NOTHING
    kept = DeadKept(
        DeadId(f"dl{number}"),
        ask.origin,
        ask.tenant,
        ask.ask,
        ask.command,
        ask.code,
        ask.detail,
        ask.body,
        ask.bytes,
        ask.headers,
    )
    return Decision((kept,))


def retry(letters: Letters, ask: RetryDead, by: str) -> Outcome:
    letter = letters.get(DeadId(ask.dead))
    if letter is None:
        return missing(ask.dead)
    if letter.state is LetterState.RETRYING:
        return NOTHING
    if not letter.whole:
        return Refusal(
            Code.REQUEST_TOO_LARGE,
            f"of the {letter.bytes:,} bytes of {letter.id} only {len(letter.body):,} were kept;"
            f" {letter.tenant} must send it again, smaller, under a new id",
            "$.dead",
            {"bytes": letter.bytes, "bytes_kept": len(letter.body)},
        )
    return Decision((DeadRetried(letter.id, letter.attempt + 1, by, ask.reason),))


def drop(letters: Letters, ask: DropDead, by: str) -> Outcome:
    if DeadId(ask.dead) not in letters:
        return missing(ask.dead)
    return Decision((DeadDropped(DeadId(ask.dead), by, ask.reason),))


def settle(letters: Letters, ask: SettleDead) -> Outcome:
    """Let a letter go that was answered; one that was dropped meanwhile is gone already."""
    letter = letters.get(ask.dead)
    if letter is None or letter.state is LetterState.DEAD or letter.attempt != ask.attempt:
        return NOTHING
    told = DeadFailed if ask.poison else DeadAnswered
    return Decision((told(letter.id, ask.attempt, ask.code, ask.detail),))


def expire(letters: Letters, now: Instant) -> Outcome:
    """Drop every letter that was kept for long enough."""
    return Decision(tuple(_too_old(letters, now)))


def _too_old(letters: Letters, now: Instant) -> Iterator[DeadDropped]:
    days = KEEP_MS // 86_400_000
    for letter in letters.values():
        if letter.at + KEEP_MS <= now:
            yield DeadDropped(letter.id, "clock", f"kept for {days} days")


def missing(dead: str) -> Refusal:
    detail = f"there is no dead letter {dead}; see `restow dead list`"
    return Refusal(Code.DEAD_NOT_FOUND, detail, "$.dead", {"dead": dead})
