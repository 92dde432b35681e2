"""What a process counts, served to Prometheus: `GET /metrics`, and nothing else but `/livez`.

For engines and agents, which serve nothing else over HTTP. There are no names of containers,
tenants or people in it, so it may listen beyond this machine.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from domain.meters import CONTENT_TYPE
from restow.settings import Endpoint

log = structlog.stdlib.get_logger(__name__)

WITHIN_S = 5.0
"""How long a request may take to come, and its answer to go."""
HEAD_BYTES_MAX = 8_192

Text = Callable[[], str]


class CannotListenError(RuntimeError):
    """Another program listens there, or the address is not of this machine."""


@asynccontextmanager
async def serving(where: Endpoint | None, text: Text) -> AsyncGenerator[None]:
    """Serve during the block; None: nowhere. Raises `CannotListenError`."""
    if where is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(WITHIN_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(answered(head.split(b"\r\n", 1)[0], text))
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    try:
        server = await asyncio.start_server(answer, where.host, where.port, limit=HEAD_BYTES_MAX)
    except OSError as error:
        message = f"cannot listen on {where.host}:{where.port}: {error}; name another --metrics"
        raise CannotListenError(message) from error
    async with server:
        address = server.sockets[0].getsockname()
        await log.ainfo("metrics.listens", address=address)
        yield


def answered(line: bytes, text: Text) -> bytes:
    """Return the answer to the first line of a request."""
    words = line.split(b" ")
    path = (
        words[1].partition(b"?")[0] if len(words) == len(b"GET /metrics HTTP/1.1".split()) else b""
    )
    if words[0] not in {b"GET", b"HEAD"}:
        status, body = "405 Method Not Allowed", "GET alone can be used here\n"
    elif path == b"/metrics":
        status, body = "200 OK", text()
    elif path == b"/livez":
        status, body = "200 OK", "ok\n"
    else:
        status, body = "404 Not Found", "there are /metrics and /livez\n"
    data = body.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(data)}\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if words[0] == b"HEAD" else data)
