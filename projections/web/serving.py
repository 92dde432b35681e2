"""The read API served: on loopback, to those who mean it, and ended in order."""

import asyncio
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Generic

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from domain.messages import Code, Refusal
from projections.feed import H
from projections.keeping import Keeping
from projections.reaching import Reaching
from projections.web.answers import refused, unexpected
from projections.web.app import About, Api, Commands
from projections.web.lists import Lists
from projections.web.meters import Meters
from projections.web.past import Pasts
from projections.web.shortcut import GZIP_BYTES, App, Message, Receive, Send, Shortcut

log = structlog.stdlib.get_logger(__name__)

GRACE_S = 3
"""How long requests may take to end once it stops."""
BACKLOG = 2_048
CONCURRENT_MAX = 1_200
"""Connections and requests at the same time; one more is told 503."""
STUCK_S = 30.0
"""How long a reader may leave lying what it asked for; then its connection is cut."""
NAMES = {"localhost", "127.0.0.1", "[::1]"}
"""What a request may take us for: another name was led here by somebody else's DNS."""


class AddressInUseError(RuntimeError):
    """Another program listens there."""


class Server(uvicorn.Server):
    """Leaves signals to the process that it is part of."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Connection(HttpToolsProtocol):
    """Is cut where the other side takes nothing for too long: it is dead, or hopelessly slow.

    A listener that lives comes back and says how far it was.
    """

    _stuck: asyncio.TimerHandle | None = None

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(STUCK_S, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        self._go_on()
        super().resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._go_on()
        super().connection_lost(exc)

    def _go_on(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


class Web(Generic[H]):
    """The read API of one region."""

    def __init__(
        self,
        keeping: Keeping[H],
        reaching: Reaching[H],
        commands: Commands,
        about: About,
        more: Sequence[Route] = (),
    ) -> None:
        """`more` is what else there is, beside the views."""
        self._more = more
        self._keeping = keeping
        self._reaching = reaching
        self._commands = commands
        self._about = about

    async def run(self, listening: socket.socket) -> None:
        """Serve on a socket until cancelled; streams are told, and end."""
        lists = Lists(self._keeping, Pasts(self._keeping, self._reaching))
        api = Api(self._keeping, lists, self._commands, self._about)
        server = Server(config_of(application(api, self._more)))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            api.hub.stop()
            server.should_exit = True
            await asyncio.wait({serving}, timeout=2 * GRACE_S)
            raise
        finally:
            await lists.close()
            listening.close()


def application(api: Api[Any], more: Sequence[Route] = ()) -> App:
    """Return the whole of it: routes, `more` of them, and what holds for all."""
    app = Starlette(
        routes=[*api.routes(), *more],
        exception_handlers={404: unexpected, 405: unexpected, 500: unexpected},
    )
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_BYTES)
    return Guard(Shortcut(api.views(), app), api.meters)


def config_of(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONCURRENT_MAX,
        timeout_graceful_shutdown=GRACE_S,
    )


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port, 0 for any that is free. Raises `AddressInUseError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, so that the loop knows it for TCP and sends each part of an answer at once.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        message = f"cannot listen on {host}:{port}: {error.strerror}; name another with --http"
        raise AddressInUseError(message) from error
    listening.listen(BACKLOG)
    listening.settimeout(0)
    return listening


class Guard:
    """Looks at every request before anything else does, and counts it."""

    def __init__(self, app: App, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        clock = asyncio.get_running_loop().time
        begun, status = clock(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        refusal = stranger(scope)
        app: Any = self._app if refusal is None else refused(refusal)
        try:
            await app(scope, receive, sent)
        finally:
            self._meters.count(route_of(scope), status, clock() - begun)


def stranger(scope: Message) -> Refusal | None:
    """Say what is wrong with where a request says that it goes, or comes from."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value)
    hosts = [name.decode("latin-1") for name in headers.get(b"host", [])]
    if len(hosts) != 1 or host_name(hosts[0]) not in NAMES:
        detail = f"host must be one of {', '.join(sorted(NAMES))}, got {', '.join(hosts)[:200]!r}"
        return Refusal(Code.AUTH_DENIED, detail, "header Host")
    for origin in headers.get(b"origin", []):
        said = origin.decode("latin-1")
        if said.removeprefix("http://") != hosts[0]:
            detail = f"pages of {said[:200]!r} may not ask here"
            return Refusal(Code.AUTH_DENIED, detail, "header Origin")
    return None


def host_name(host: str) -> str:
    """Return a host without its port."""
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdecimal() else host.lower()


def route_of(scope: Message) -> str:
    """Return what a request is counted under: never what a stranger made up."""
    route = scope.get("route")
    return str(getattr(route, "path", "none"))
