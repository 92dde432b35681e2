"""How answers and refusals are sent."""

from typing import Any

import msgspec
from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from domain.contracts import Reply
from domain.messages import Code, Refusal
from domain.problems import Problem, problem
from projections.web.lists import Said

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
POSITION = "Restow-Position"

_json = msgspec.json.Encoder()


def answered(request: Request, said: Said | Refusal) -> Response:
    """Return an answer, or only that it is the same as the asker has."""
    if isinstance(said, Refusal):
        return refused(said)
    headers = {"ETag": said.tag, POSITION: str(said.position), "Cache-Control": "no-cache"}
    known = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
    if said.tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(said.body, media_type=JSON, headers=headers)


def refused(refusal: Refusal, status: int = 0) -> Response:
    """Return a refusal as a problem."""
    told = problem(refusal)
    return spoken(replace(told, status=status) if status else told)


def spoken(told: Reply | Problem) -> Response:
    """Return what an engine, or we, said."""
    if not isinstance(told, Problem):
        headers = {POSITION: str(told.position), "Cache-Control": "no-store"}
        return Response(_json.encode(told), media_type=JSON, headers=headers)
    headers = {"Cache-Control": "no-store"}
    if told.retryable:
        headers["Retry-After"] = str(-(-told.retry_after_ms // 1_000))
    body = _json.encode(told)
    return Response(body, told.status, headers=headers, media_type=PROBLEM_JSON)


def too_large(path: str, most: int) -> Response:
    detail = f"it has more than {most:,} bytes"
    return refused(Refusal(Code.REQUEST_TOO_LARGE, detail, path, {"bytes_max": most}), 413)


async def unexpected(request: Request, error: Any) -> Response:
    """Say that there is no such path, or not with this method, or that a mistake is ours."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = {
        404: f"there is no resource {request.url.path[:200]!r}; see /openapi.json",
        405: f"{request.method[:20]} cannot be used here; see /openapi.json",
    }.get(status, "an unexpected error")
    told = refused(Refusal(Code.REQUEST_INVALID, detail, "path"), status)
    told.headers.update(getattr(error, "headers", None) or {})
    return told
