"""Outcomes of the durable door: stored in RES, each once, and a dead letter kept of what is poison.

An outcome is stored before its command leaves the stream CMD. Whatever fails in between, it comes
to the same: the command is answered as it was before, and RES drops the second copy.
"""

import asyncio
from collections.abc import Mapping

import msgspec
import structlog

from domain.contracts import TENANT_MAX, Reply, within_bus
from domain.dead import BODY_KEPT_BYTES, KeepDead
from domain.decider import Ask
from domain.messages import AskId, Tenant
from domain.problems import Problem
from handlers.bus import BusClosedError, BusUnavailableError, fits, request
from handlers.doors.decode import ACTOR, CONTENT_TYPE, ID
from handlers.doors.desk import Doorway
from handlers.doors.kept import Command
from handlers.doors.service import JSON_TYPE, PROBLEM_TYPE

log = structlog.stdlib.get_logger(__name__)

STORE_S = 2.0
"""How long the stream of outcomes may take to store one."""
AGAIN_S = 0.5
"""Between two attempts to store an outcome."""
DETAIL_MAX = 500
"""Characters of what was wrong that a letter keeps."""
HEADERS_KEPT = (ID, ACTOR, CONTENT_TYPE)
HEADER_MAX = 256
"""Characters of a header that a letter keeps."""

NOBODY = "_"
"""What no tenant is called."""
NAME_MAX = 128
"""Characters of a name that a letter keeps; no tenant and no command has a longer one."""

Outcome = Reply | Problem


class OutcomeNotStoredError(RuntimeError):
    """The stream of outcomes refused one."""


class _Stored(msgspec.Struct, frozen=True):
    seq: int = 0
    error: msgspec.Raw | None = None


async def store(doorway: Doorway, tenant: str, origin: str, outcome: Outcome) -> None:
    """Store an outcome, however long that takes; of one `origin` it is stored once."""
    # A tenant longer than any may be makes no subject.
    told = tenant if len(tenant) <= TENANT_MAX else NOBODY
    subject = doorway.subjects.outcome(told, outcome.command_id)
    while True:
        try:
            await _store_once(doorway, subject, origin, outcome)
        except BusClosedError:
            raise
        except (BusUnavailableError, OutcomeNotStoredError) as error:
            await log.awarning("door.outcome_not_stored", origin=origin, error=str(error))
            await asyncio.sleep(AGAIN_S)
        else:
            return


async def _store_once(doorway: Doorway, subject: str, origin: str, outcome: Outcome) -> None:
    body, headers = _written(outcome, origin)
    if not fits(doorway.bus, body, headers):
        message = f"{subject}: {len(body):,} bytes"
        raise OutcomeNotStoredError(message)
    acked = await request(doorway.bus, subject, body, within_s=STORE_S, headers=headers)
    stored = msgspec.json.decode(acked, type=_Stored)
    if stored.error is not None:
        message = f"{subject}: {bytes(stored.error).decode()}"
        raise OutcomeNotStoredError(message)


def _written(outcome: Outcome, origin: str) -> tuple[bytes, dict[str, str]]:
    kind = PROBLEM_TYPE if isinstance(outcome, Problem) else JSON_TYPE
    return msgspec.json.encode(within_bus(outcome)), {ID: origin, "Content-Type": kind}


def letter_of(command: Command, origin: str, told: Problem) -> Ask:
    """Return what asks the region to keep a dead letter of a command; named after its place."""
    keep = KeepDead(
        origin=origin,
        tenant=Tenant(command.tenant[:NAME_MAX]),
        ask=AskId(told.command_id),
        command=command.name[:NAME_MAX],
        code=told.code,
        detail=told.detail[:DETAIL_MAX],
        body=command.body[:BODY_KEPT_BYTES],
        bytes=len(command.body),
        headers=kept_headers(command.headers),
    )
    return Ask(AskId(f"dead {origin}"), keep, actor="door")


def kept_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers without which a retry would be another command."""
    return {name: headers[name][:HEADER_MAX] for name in HEADERS_KEPT if headers.get(name)}
