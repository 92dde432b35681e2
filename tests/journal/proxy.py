"""A wire between client and server that can lose what the server says."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

CHUNK_BYTES = 65_536


class Proxy:
    """Passes bytes on. While `deaf`, what the server says is lost and the connection with it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.deaf = False
        self.lost = 0
        self._tasks = set[asyncio.Task[None]]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one client to the server, until either ends."""
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.gather(self._up(reader, to_server), self._down(from_server, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _up(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK_BYTES):
            sink.write(data)
        sink.close()

    async def _down(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK_BYTES):
            if self.deaf and b'"seq":' in data:
                self.lost += 1
                self.deaf = False
                break
            sink.write(data)
        sink.close()

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncGenerator[tuple[Proxy, str]]:
    """Put a proxy before a port; gives it and its address."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield proxy, f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        proxy.end()
