"""The typed door: a NATS service that answers a command when its answer stands in the journal.

One wildcard subscription serves every command, so that they are asked in the order they came.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from domain.contracts import COMMANDS, CONTRACT_VERSION, reply_body
from domain.contracts.asyncapi import asyncapi
from domain.contracts.catalogue import COMMON, CommandContract
from domain.contracts.pages import errors_document
from domain.contracts.schemas import command_schema, reply_schema
from domain.decider import Answered, Ask
from domain.messages import Refusal
from domain.problems import Problem, problem
from domain.subjects import Subjects
from handlers.bus import Message
from handlers.doors.decode import Call, not_leader, plain_headers, read
from handlers.doors.desk import DeskClosedError, Doorway
from handlers.doors.service import (
    Card,
    Endpoint,
    Pending,
    Response,
    Service,
    refused,
)
from handlers.traces import carried

NAME = "restow-commands"
DESCRIPTION = "Commands of Restow, each answered when its answer is journaled"


def typed_door(doorway: Doorway) -> Service:
    """Return the service of all commands, and of the documents that describe them."""
    card = card_of(doorway.subjects, doorway.new_id())
    return Service(doorway.bus, card, _Handler(doorway), doorway.new_id)


def card_of(subjects: Subjects, service_id: str) -> Card:
    """Return what `$SRV.INFO` shows: an endpoint for each command, with its schema."""
    commands = (_endpoint(contract, subjects) for contract in COMMANDS.values())
    documents = (
        Endpoint(f"meta-{name}", subjects.meta(name), {"reply": "application/json"})
        for name in ("asyncapi", "errors")
    )
    return Card(
        id=service_id,
        name=NAME,
        version=CONTRACT_VERSION,
        description=DESCRIPTION,
        endpoints=(*commands, *documents),
        listens=(subjects.service(">"), subjects.meta("asyncapi"), subjects.meta("errors")),
        metadata={"asyncapi": subjects.meta("asyncapi"), "errors": subjects.meta("errors")},
    )


def _endpoint(contract: CommandContract, subjects: Subjects) -> Endpoint:
    metadata = {
        "summary": contract.summary,
        "schema": _json(command_schema(contract)),
        "reply": _json(reply_schema()),
        "errors": ",".join((*contract.errors, *COMMON)),
        "idempotent": "true",
        "cli": contract.cli,
    }
    return Endpoint(contract.endpoint, subjects.service(contract.name), metadata)


def _json(document: Mapping[str, Any]) -> str:
    return msgspec.json.encode(document).decode()


class _Handler:
    """Begins the answer to one request."""

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self._start = len(doorway.subjects.service(""))
        self._documents = {
            doorway.subjects.meta("asyncapi"): _json(asyncapi(doorway.subjects.prefix)).encode(),
            doorway.subjects.meta("errors"): _json(errors_document()).encode(),
        }

    def __call__(self, message: Message) -> Response | Pending:
        if document := self._documents.get(message.subject):
            return Response(document)
        call = Call(
            message.subject[self._start :],
            message.data,
            plain_headers(message.headers),
            self._doorway.new_id,
        )
        ask = read(call, self._doorway.now())
        if isinstance(ask, Problem):
            return refused(ask)
        with carried(call.headers):
            return Pending(self._doorway.desk.ask(ask), partial(respond, ask))


def respond(ask: Ask, future: asyncio.Future[Answered]) -> Response:
    """Return the response to an ask whose answer is there. Raises what the desk raised."""
    if future.cancelled() or isinstance(future.exception(), DeskClosedError):
        return refused(not_leader(ask.id))
    answered = future.result()
    if isinstance(answered.answer, Refusal):
        return refused(problem(answered.answer, ask.id, answered.position))
    return Response(reply_body(answered, ask.id))
