"""The resources: what there is under which path, and how each is answered."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Generic, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from domain.contracts import Reply
from domain.messages import Code, Refusal
from domain.meters import CONTENT_TYPE, Board, Family, told
from domain.problems import Problem
from projections.feed import H
from projections.keeping import Keeping
from projections.moments import NUMBER_MAX
from projections.stores import StoreDamagedError, StoreLockedError, StoreSlowError
from projections.views import ALL, View
from projections.web import meters, page
from projections.web.answers import JSON, POSITION, answered, refused, spoken, too_large
from projections.web.changes import Hub
from projections.web.density import BUCKETS, BUCKETS_MAX
from projections.web.lists import CATCHING_UP, Lists
from projections.web.meters import Meters
from projections.web.params import (
    QUERY_BYTES_MAX,
    InvalidError,
    Pairs,
    fields,
    freshness,
    number,
    only,
    single,
    views_named,
    wanted,
)
from projections.web.shortcut import ONE

EVENT_STREAM = "text/event-stream"
BODY_BYTES_MAX = 64 * 1_024
BEHIND_READY = 1_000
"""Events that the views may be behind the journal and still be ready."""

_json = msgspec.json.Encoder()
_Body = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Commands(Protocol):
    """Hands a command on to the engine, and returns what it said."""

    def __call__(
        self, name: str, body: bytes, headers: Mapping[str, str]
    ) -> Awaitable[Reply | Problem]: ...


class About(msgspec.Struct, frozen=True):
    """What is told of this process: versions, the document of what there is, what others count."""

    versions: Mapping[str, str]
    openapi: bytes
    board: Board = msgspec.field(default_factory=Board)


class Api(Generic[H]):
    """Answers requests."""

    def __init__(
        self, keeping: Keeping[H], lists: Lists[H], commands: Commands, about: About
    ) -> None:
        self.hub = Hub()
        self.meters = Meters()
        self._keeping = keeping
        self._lists = lists
        self._commands = commands
        self._about = about
        keeping.told.append(self.hub.tell)

    def routes(self) -> list[Route]:
        """Return every path and who answers it."""
        fixed: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
            "/v1/changes": self._changes,
            "/v1/density": self._density,
            "/v1/status": self._status,
            "/v1/projections": self._projections,
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/version": self._version,
            "/openapi.json": self._openapi,
        }
        routes = [Route(path, answer, name=path) for path, answer in fixed.items()]
        post = Route("/v1/commands", self._command, methods=["POST"], name="POST /v1/commands")
        return [post, *self.views(), *routes, *page.routes()]

    def views(self) -> list[Route]:
        """Return the paths of the lists and of their lines."""
        routes: list[Route] = []
        for view in ALL:
            path = f"/v1/{view.plural}"
            routes.append(Route(path, partial(self._list, view), name=path))
            one = f"{path}{ONE}"
            routes.append(Route(one, partial(self._show, view), name=one))
        return routes

    async def _list(self, view: View, request: Request) -> Response:
        if len(request.scope["query_string"]) > QUERY_BYTES_MAX:
            return too_large("query", QUERY_BYTES_MAX)
        try:
            wish = wanted(view, pairs(request))
        except InvalidError as error:
            return refused(error.refusal)
        return answered(request, await self._lists.page(wish))

    async def _show(self, view: View, request: Request) -> Response:
        try:
            given = single(pairs(request))
            tenant = ("tenant",) if view.name == "command" else ()
            only(given, ("fields", "min_position", "wait_ms", "as_of", *tenant))
            key = str(request.path_params["key"])
            named = f"{given.get('tenant', '')}/{key}" if tenant else key
            said = await self._lists.one(view, named, freshness(given), fields(view, given))
        except InvalidError as error:
            return refused(error.refusal)
        return absent(view, key) if said is None else answered(request, said)

    async def _command(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind != JSON:
            detail = f"the body must be {JSON}, got {kind[:80]!r}"
            return refused(Refusal(Code.REQUEST_INVALID, detail, "header Content-Type"), 415)
        body = await body_of(request)
        if body is None:
            return too_large("$", BODY_BYTES_MAX)
        try:
            members = _Body.decode(body)
            name = msgspec.json.decode(members.pop("type", b'""'), type=str)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            detail = f'the body is no command: {error}; for example {{"type":"host.cordon",…}}'
            return refused(Refusal(Code.REQUEST_INVALID, detail, "$"))
        return spoken(await self._commands(name, _json.encode(members), request.headers))

    async def _changes(self, request: Request) -> Response:
        try:
            given = single(pairs(request))
            only(given, ("views", "after"))
            last = request.headers.get("last-event-id", "")
            place = {"after": last} if last else given
            after = number(place, "after", -1, (0, NUMBER_MAX))
            names = views_named(given)
        except InvalidError as error:
            return refused(error.refusal)
        behind = self._keeping.progress.behind()
        if behind is not None:
            return refused(behind)
        position = self._keeping.progress.position
        stream = self.hub.hear(None if after < 0 else after, position, names)
        headers = {"Cache-Control": "no-store", POSITION: str(position)}
        return StreamingResponse(stream, media_type=EVENT_STREAM, headers=headers)

    async def _status(self, request: Request) -> Response:
        try:
            given = single(pairs(request))
            only(given, ("min_position", "wait_ms"))
            said = await self._lists.status(freshness(given))
        except InvalidError as error:
            return refused(error.refusal)
        return answered(request, said)

    async def _density(self, request: Request) -> Response:
        try:
            given = single(pairs(request))
            only(given, ("buckets", "min_position", "wait_ms"))
            buckets = number(given, "buckets", BUCKETS, (1, BUCKETS_MAX))
            said = await self._lists.density(freshness(given), buckets)
        except InvalidError as error:
            return refused(error.refusal)
        return answered(request, said)

    async def _projections(self, request: Request) -> Response:
        try:
            only(single(pairs(request)), ())
        except InvalidError as error:
            return refused(error.refusal)
        return answered(request, await self._lists.projections())

    async def _livez(self, _request: Request) -> Response:
        return Response(b"ok\n", media_type="text/plain")

    async def _readyz(self, _request: Request) -> Response:
        """Ready: the views are open, have caught up once, and are not far behind."""
        not_yet = self._keeping.progress.behind()
        if not_yet is None and self._keeping.live is None:
            not_yet = CATCHING_UP
        if not_yet is None:
            behind = await self._keeping.behind()
            if behind > BEHIND_READY:
                detail = f"the views are {behind:,} events behind the journal"
                not_yet = Refusal(Code.ENGINE_CATCHING_UP, detail, facts={"behind": behind})
        if not_yet is not None:
            return refused(not_yet)
        return Response(b"ready\n", media_type="text/plain")

    async def _metrics(self, _request: Request) -> Response:
        families = [family async for family in self._families()]
        body = "".join(told(family) for family in families) + self._about.board.text()
        return Response(body, headers={"Content-Type": CONTENT_TYPE})

    async def _families(self) -> AsyncIterator[Family]:
        try:
            position = (await self._lists.checkpoint()).position
            margin = await self._lists.margin()
        except (StoreDamagedError, StoreLockedError, StoreSlowError):
            pass  # what the journal and we ourselves know is told all the same
        else:
            yield meters.POSITION.of(position)
            yield meters.MARGIN.by("operable", margin)
        live = self._keeping.live
        yield meters.BEHIND.of(await self._keeping.behind())
        yield meters.GENERATION.of(live.generation if live else 0)
        yield meters.LISTENERS.of(self.hub.listeners)
        yield meters.RESYNCS.of(self.hub.resyncs)
        for family in self.meters.families():
            yield family

    async def _version(self, _request: Request) -> Response:
        return Response(_json.encode(self._about.versions), media_type=JSON)

    async def _openapi(self, _request: Request) -> Response:
        return Response(self._about.openapi, media_type=JSON)


def pairs(request: Request) -> Pairs:
    """Return what stands in the query string."""
    return request.query_params.multi_items() if request.scope["query_string"] else ()


async def body_of(request: Request) -> bytes | None:
    """Return the body; None where it is too large, of which no more is read."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return None
    return body


def absent(view: View, key: str) -> Response:
    """Say that there is no such line."""
    detail = f"there is no {view.name} {key[:200]!r}; see /v1/{view.plural}"
    name = f"{view.name}.not_found"
    code = Code(name) if name in {code.value for code in Code} else Code.REQUEST_INVALID
    return refused(Refusal(code, detail, "path"), 404)
