"""What is told from the journal itself, not from the views: it may take a while."""

from functools import partial
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.certificate import Checked
from domain.inverses import Left
from domain.messages import Refusal
from domain.undoing import Asked
from projections.moments import NOW, Moment
from projections.web.answers import answered, refused
from projections.web.lists import Said, tag_of
from projections.web.params import InvalidError, invalid, moment, only, single

CERTIFICATE = "/v1/certificates/{name}"
UNDO = "/v1/undo"
UNDO_BETWEEN = "/v1/undo/between"
NAME_MAX = 128

_json = msgspec.json.Encoder()


class Brought(msgspec.Struct, frozen=True):
    """A member of an aggregate that comes back: as it is now, and as it was then."""

    of: str
    member: str
    now: Any
    then: Any


class WayBack(msgspec.Struct, frozen=True):
    """A command that brings something back; `against` says why it would not be done, if so."""

    type: str
    body: dict[str, Any]
    back: list[Brought]
    note: str
    against: str


class WaysBack(msgspec.Struct, frozen=True):
    """What was asked, the commands that undo it, tried in a fork of `position`; what is left.

    `unlike` are the members that would not be as they were once all commands are done.
    """

    position: int
    asked: list[Asked]
    commands: list[WayBack]
    left: list[Left]
    unlike: list[str]


class Inquiries(Protocol):
    """Reads the journal for one question."""

    async def certificate(self, name: str) -> Checked | Refusal:
        """Certify how a layer was served while an operation or a migration went on."""
        ...

    async def undo(self, what: str) -> WaysBack | Refusal:
        """Say which commands undo a command, by its id, its story or a position; send none."""
        ...

    async def undo_between(self, begin: Moment, end: Moment) -> WaysBack | Refusal:
        """Say which commands undo all that was asked after `begin`, up to `end`; send none."""
        ...


def routes(inquiries: Inquiries) -> list[Route]:
    """Return the paths of what is told from the journal."""
    return [
        Route(CERTIFICATE, partial(_certificate, inquiries), name=CERTIFICATE),
        Route(UNDO, partial(_undo, inquiries), name=UNDO),
        Route(UNDO_BETWEEN, partial(_undo_between, inquiries), name=UNDO_BETWEEN),
    ]


async def _undo(inquiries: Inquiries, request: Request) -> Response:
    try:
        given = single(request.query_params.multi_items())
        only(given, ("of",))
        if not 0 < len(given.get("of", "")) <= NAME_MAX:
            detail = f"of must be a command's id, a story or a position, 1 to {NAME_MAX} characters"
            raise invalid(detail, "of")
    except InvalidError as error:
        return refused(error.refusal)
    return _told(request, await inquiries.undo(given["of"]))


async def _undo_between(inquiries: Inquiries, request: Request) -> Response:
    try:
        given = single(request.query_params.multi_items())
        only(given, ("from", "to"))
        begin, end = moment(given, "from"), moment(given, "to") if "to" in given else NOW
    except InvalidError as error:
        return refused(error.refusal)
    return _told(request, await inquiries.undo_between(begin, end))


def _told(request: Request, found: WaysBack | Refusal) -> Response:
    if isinstance(found, Refusal):
        return refused(found)
    body = _json.encode(found)
    return answered(request, Said(body, found.position, tag_of(body)))


async def _certificate(inquiries: Inquiries, request: Request) -> Response:
    try:
        only(single(request.query_params.multi_items()), ())
    except InvalidError as error:
        return refused(error.refusal)
    found = await inquiries.certificate(str(request.path_params["name"]))
    if isinstance(found, Refusal):
        return refused(found)
    body = _json.encode(found)
    return answered(request, Said(body, found.certificate.finished, tag_of(body)))
