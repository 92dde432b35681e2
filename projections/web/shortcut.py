"""A shorter way to lists and lines: their paths are looked up in a table.

The router tries one path after the other, behind layers of which these need none but that for
compression, and that only for who takes it. What is done with a request is the same on both ways.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projections.web.answers import unexpected

GZIP_BYTES = 1_000
"""Answers from this size on are sent compressed to those who take it."""
ONE = "/{key:path}"
"""How the path of one line ends."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Shortcut:
    """Answers what is looked up in `routes`; what is not in them goes to `otherwise`."""

    def __init__(self, routes: Iterable[Route], otherwise: App) -> None:
        """`routes` are of a list, `/v1/hosts`, or of its lines, `/v1/hosts/{key:path}`."""
        self._routes = {route.path: route for route in routes}
        self._otherwise = otherwise
        self._plain = ServerErrorMiddleware(plain, handler=unexpected)
        told = ServerErrorMiddleware(straight, handler=unexpected)
        self._gzipped = GZipMiddleware(told, minimum_size=GZIP_BYTES)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        route = self._route(scope)
        if route is None:
            await self._otherwise(scope, receive, send)
            return
        scope["route"] = route
        gzip = any(name == b"accept-encoding" and b"gzip" in x for name, x in scope["headers"])
        await (self._gzipped if gzip else self._plain)(scope, receive, send)

    def _route(self, scope: Message) -> Route | None:
        """Return the route of a request, and note which line it asks for."""
        if scope["method"] != "GET":
            return None
        start, version, rest = str(scope["path"]).partition("/v1/")
        if start or not version:
            return None
        plural, slash, key = rest.partition("/")
        scope["path_params"] = {"key": key} if slash else {}
        return self._routes.get(f"/v1/{plural}{ONE if slash else ''}")


async def answer(scope: Message, receive: Receive) -> Response:
    request = Request(scope, receive)
    response: Response = await scope["route"].endpoint(request)
    return response


async def straight(scope: Message, receive: Receive, send: Send) -> None:
    """Answer; what comes between may compress it."""
    response = await answer(scope, receive)
    await response(scope, receive, send)


async def plain(scope: Message, receive: Receive, send: Send) -> None:
    """Answer as it is; that others would get it compressed is said, as the compressor does."""
    response = await answer(scope, receive)
    if len(response.body) >= GZIP_BYTES:
        response.headers.add_vary_header("Accept-Encoding")
    await response(scope, receive, send)
