"""Hosts ask each other whether they are cut off, by TCP: where the bus is away, this is not.

One line asks: the name of a host. One line answers: its `Standing`, as JSON. Nobody learns more
here, and nothing is changed by it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping

import msgspec

from domain.lease import Standing
from domain.messages import HostId
from handlers.bus import UNREADABLE

LINE_MAX = 4_096
PATIENCE_S = 5.0
"""How long somebody who connects may take to say a line."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Standing)


class Neighbours:
    """The ear of one agent process for other hosts, and its voice to them.

    `standings` are those of the hosts that this process serves; `at` is where others find it.
    """

    def __init__(self) -> None:
        self.standings: dict[HostId, Callable[[], Standing]] = {}
        self.at = ""

    @contextlib.asynccontextmanager
    async def serving(self, listen: str) -> AsyncGenerator["Neighbours"]:
        """Answer on a free port of this address while the block lasts."""
        server = await asyncio.start_server(self._heard, listen, 0, limit=LINE_MAX)
        host, port = server.sockets[0].getsockname()[:2]
        self.at = f"{host}:{port}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _heard(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                name = (await reader.readline()).decode("ascii", "replace").strip()
                standing = self.standings.get(HostId(name))
                if standing is not None:
                    writer.write(_encoder.encode(standing()) + b"\n")
                    await writer.drain()
        writer.close()

    async def ask(self, host: HostId, at: str, within_s: float) -> Standing | None:
        """Ask another host how it stands; None where it did not say."""
        try:
            async with asyncio.timeout(within_s):
                return await self._ask(host, at)
        except (OSError, TimeoutError, ValueError, *UNREADABLE):
            return None

    async def _ask(self, host: HostId, at: str) -> Standing | None:
        name, _, port = at.rpartition(":")
        reader, writer = await asyncio.open_connection(name, int(port), limit=LINE_MAX)
        try:
            writer.write(f"{host}\n".encode())
            standing = _decoder.decode(await reader.readline())
        finally:
            writer.close()
        return standing if standing.host == host else None

    async def ask_all(self, where: Mapping[HostId, str], within_s: float) -> dict[HostId, Standing]:
        """Ask all these hosts at once, and return what was said in time."""
        said = await asyncio.gather(*(self.ask(h, at, within_s) for h, at in where.items()))
        return {one.host: one for one in said if one is not None}
