"""HAProxy's runtime: what its processes are told and say, over the socket of their master.

After a reload the processes before it go on until their sessions have ended, so whoever counts
sessions, or cuts them, must ask all of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from csv import DictReader
from pathlib import Path

import msgspec

from handlers.agent.router import RoutingFailedError

ANSWER_S = 5.0
ANEW_S = 1.0
"""How long a master that reloads may be away."""
POLL_S = 0.05
CURRENT = "@1"
FORCED_MAINTENANCE = 0x01
FORCED_DRAIN = 0x08
RUNNING = "2"
PASSED = "3"


class Server(msgspec.Struct, frozen=True):
    """A server as the current process has it. `checked`: it answered when it was last tried."""

    address: str
    up: bool
    admin: int
    checked: bool

    @property
    def ready(self) -> bool:
        """It is given new work."""
        return self.up and self.admin == 0


Place = tuple[str, str]
"""A backend, and a server in it."""


class Runtime:
    """Speaks to one HAProxy. All methods raise `RoutingFailedError`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def reload(self) -> None:
        """Let a new process read the configuration; it takes over without a gap."""
        try:
            await self._try("reload")  # it begins anew, and may have no time to answer
        except OSError as error:
            message = f"HAProxy cannot be reloaded at {self._socket}: {error}"
            raise RoutingFailedError(message) from error

    async def workers(self) -> tuple[str, ...]:
        """Return how to address every process that has sessions, the current one first."""
        lines = (await self._say("show proc")).splitlines()
        words = [line.split() for line in lines if line and not line.startswith("#")]
        pids = [one[0] for one in words if len(one) > 1 and one[1] == "worker"]
        return (CURRENT, *(f"@!{pid}" for pid in pids[1:]))

    async def servers(self) -> Mapping[Place, Server]:
        """Return all servers."""
        lines = (await self.tell("show servers state")).splitlines()
        header = lines[1].removeprefix("# ").split()
        rows = [dict(zip(header, line.split(), strict=False)) for line in lines[2:] if line]
        return {
            (row["be_name"], row["srv_name"]): Server(
                f"{row['srv_addr']}:{row['srv_port']}",
                row["srv_op_state"] == RUNNING,
                int(row["srv_admin_state"]),
                row["srv_check_result"] == PASSED,
            )
            for row in rows
        }

    async def proxies(self) -> frozenset[str]:
        """Return the names of all frontends and backends."""
        return frozenset([row["pxname"] async for row in self._stat(CURRENT, "3")])

    async def sessions(self, place: Place) -> int:
        """Return how many sessions a server has, in all processes."""
        total = 0
        for worker in await self.workers():
            async for row in self._stat(worker, "4"):
                if (row["pxname"], row["svname"]) == place:
                    total += int(row["scur"] or 0)
        return total

    async def cut(self, place: Place) -> None:
        """End the sessions of a server, in all processes."""
        current, *old = await self.workers()
        await self._say(f"{current} shutdown sessions server {'/'.join(place)}")
        for worker in old:  # which know of no servers any more, only of sessions
            for line in (await self._say(f"{worker} show sess")).splitlines():
                session, _, rest = line.partition(":")
                if {f"be={place[0]}", f"srv={place[1]}"} <= {*rest.split()}:
                    await self._say(f"{worker} shutdown session {session}")

    async def tell(self, command: str) -> str:
        """Say something to the current process and return what it says."""
        return await self._say(f"{CURRENT} {command}")

    async def _stat(self, worker: str, kinds: str) -> AsyncIterator[dict[str, str]]:
        said = await self._say(f"{worker} show stat -1 {kinds} -1")
        lines = said.removeprefix("# ").splitlines()
        for row in DictReader(line for line in lines if line):
            yield row

    async def _say(self, line: str) -> str:
        """Say it, again while the master is about to begin anew; it is silent only then."""
        give_up = time.monotonic() + ANEW_S
        while True:
            why = "it hangs up"
            try:
                if said := await self._try(line):
                    return said
            except OSError as error:
                why = error.strerror or str(error) or "no answer"
            if time.monotonic() > give_up:
                message = f"HAProxy cannot be told anything at {self._socket}: {why}"
                raise RoutingFailedError(message)
            await asyncio.sleep(POLL_S)

    async def _try(self, line: str) -> str:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
            try:
                writer.write(f"{line}\n".encode())
                writer.write_eof()
                return (await reader.read()).decode("utf-8", "replace")
            finally:
                writer.close()
                await writer.wait_closed()
