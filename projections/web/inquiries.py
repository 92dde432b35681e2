"""What is told from the journal itself, not from the views: it may take a while."""

from functools import partial
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.certificate import Checked
from domain.messages import Refusal
from projections.web.answers import answered, refused
from projections.web.lists import Said, tag_of
from projections.web.params import InvalidError, only, single

CERTIFICATE = "/v1/certificates/{name}"

_json = msgspec.json.Encoder()


class Inquiries(Protocol):
    """Reads the journal for one question."""

    async def certificate(self, name: str) -> Checked | Refusal:
        """Certify how a layer was served while an operation or a migration went on."""
        ...


def routes(inquiries: Inquiries) -> list[Route]:
    """Return the paths of what is told from the journal."""
    return [Route(CERTIFICATE, partial(_certificate, inquiries), name=CERTIFICATE)]


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
