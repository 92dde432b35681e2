"""HAProxy as the router's balancer: servers come, drain and go while it runs.

Its file is written before its processes are told, so whatever dies, the next start of either knows
who is in. New ports are the only reason to reload it.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from handlers.agent.router import RoutingFailedError
from handlers.agent.routes import Route, Routes, Standing
from handlers.traffic.configuration import CHECK, Front, fronts, places, text
from handlers.traffic.haproxy import FORCED_DRAIN, Place, Runtime, Server
from handlers.traffic.settings import External, Haproxy

POLL_S = 0.05
READY_S = 5.0
"""How long a server may take to answer its first check, and a reload to be over."""
GONE_S = 2.0
"""How long connections that serve nobody may keep a server from being deleted."""


class HaproxyBalancer:
    """A HAProxy on this machine; see `Balancer`."""

    def __init__(self, settings: Haproxy, routes: Routes, external: External | None = None) -> None:
        self._settings = settings
        self._routes = routes
        self._external = external
        self._runtime = Runtime(Path(settings.socket))
        self._file = Path(settings.configuration)
        self._ports_file = self._file.with_suffix(".ports")
        self._lock = asyncio.Lock()
        self._reloads = 0
        self._fresh: dict[str, Route] = {}
        self._write()

    async def put(self, route: Route) -> None:
        """Again, where a reload for others has forgotten what is not in the file yet."""
        if not route.ports:
            return
        while True:
            await self._open(route)
            reloads = self._reloads
            try:
                for place, address in places(route):
                    await self._add(place, address)
            except RoutingFailedError:
                if reloads == self._reloads:
                    raise
            if reloads == self._reloads:
                break
        self._fresh[route.address] = route
        self._write()

    async def drain(self, route: Route) -> int:
        if not route.ports:
            return 0
        self._fresh.pop(route.address, None)
        self._write()
        there = await self._there(route)
        for place in there:
            await self._tell(f"set server {'/'.join(place)} state drain")
        cut = await self._wait_for_sessions(route)
        for place in there:
            await self._remove(place)
        return cut

    async def serves(self, route: Route) -> bool:
        if not route.ports:
            return route.standing is not Standing.LEAVING
        there = await self._there(route)
        if route.standing is Standing.LEAVING:
            return any(server.admin == 0 for server in there.values())
        return len(there) == len(route.ports) and all(one.ready for one in there.values())

    async def mend(self) -> tuple[str, ...]:
        wanted: dict[Place, tuple[str, Standing]] = {}
        for route in self._routes:
            if route.standing is Standing.IN:
                await self._open(route)
            wanted |= {place: (address, route.standing) for place, address in places(route)}
        servers = await self._runtime.servers()
        mended: list[str] = []
        for place, (address, standing) in wanted.items():
            server = servers.get(place)
            ready = server is not None and server.admin == 0 and server.address == address
            if standing is Standing.IN and not ready:
                mended.append(await self._put_back(place, address))
        for place in servers.keys() - wanted.keys():
            await self._remove(place)
            mended.append(f"HAProxy sends work to {'/'.join(place)} no more")
        return tuple(mended)

    async def _put_back(self, place: Place, address: str) -> str:
        """Add a server that is in, unless an order takes it out meanwhile; say what came of it."""
        try:
            await self._add(place, address)
        except RoutingFailedError as error:
            return f"HAProxy does not send work to {'/'.join(place)}: {error}"
        still = {one: route.standing for route in self._routes for one, _ in places(route)}
        if still.get(place) is not Standing.IN:
            await self._remove(place)
        return f"HAProxy sends work to {'/'.join(place)} again"

    def _write(self) -> bool:
        """Write the file anew, with what was put in just now; say whether its ports changed."""
        known = {route.address: route for route in self._routes}
        self._fresh = {
            address: route
            for address, route in self._fresh.items()
            if address in known and known[address].standing is Standing.COMING
        }
        fresh = {
            address: msgspec.structs.replace(route, standing=Standing.IN)
            for address, route in self._fresh.items()
        }
        routes = [*(known | fresh).values()]
        old = self.ports()
        served = fronts(routes, old, self._settings.tcp_ports)
        new = {front.backend: front.port for front in served}
        if new != old:
            _replace(self._ports_file, msgspec.json.format(msgspec.json.encode(new)))
        _replace(self._file, text(self._settings, served, routes, self._external).encode())
        return new != old

    def ports(self) -> dict[str, int]:
        """Return what is served, and on which port of the balancer (0: by the name in requests)."""
        if not self._ports_file.exists():
            return {}
        return msgspec.json.decode(self._ports_file.read_bytes(), type=dict[str, int])

    async def _open(self, route: Route) -> None:
        """See to it that all ports of a route are served, by a reload if need be."""
        wanted = {Front(route.layer, inner).backend for inner in route.ports}
        async with self._lock:
            if wanted <= await self._runtime.proxies():
                return
            self._reloads += 1
            self._write()
            await self._runtime.reload()
            give_up = time.monotonic() + READY_S
            while not wanted <= await self._runtime.proxies():
                if time.monotonic() > give_up:
                    message = f"HAProxy did not take {self._file}: its log says why"
                    raise RoutingFailedError(message)
                await asyncio.sleep(POLL_S)

    async def _add(self, place: Place, address: str) -> None:
        """Let a server be given work, once it has answered."""
        name = "/".join(place)
        server = (await self._runtime.servers()).get(place)
        if server is not None and server.address != address:
            await self._remove(place)
            server = None
        if server is None:
            check = f" {CHECK}" if self._settings.check else ""
            await self._tell(f"add server {name} {address}{check}")
            await self._tell(f"set server {name} state drain")
            if self._settings.check:
                await self._tell(f"enable health {name}")
        elif server.ready:
            return
        else:
            await self._tell(f"set server {name} state drain")
        await self._answers(place, address)
        await self._tell(f"set server {name} state ready")

    async def _answers(self, place: Place, address: str) -> None:
        """Wait for the first check that a server passes."""
        give_up = time.monotonic() + READY_S
        while self._settings.check:
            server = (await self._runtime.servers()).get(place)
            if server is not None and server.checked and server.admin & FORCED_DRAIN:
                return
            if time.monotonic() > give_up:
                message = f"nobody answers the balancer at {address}"
                raise RoutingFailedError(message)
            await asyncio.sleep(POLL_S)

    async def _wait_for_sessions(self, route: Route) -> int:
        """Wait until what a container serves has ended; cut what has not, and count it."""
        give_up = time.monotonic() + self._settings.drain_s
        while left := await self._sessions(route):
            if time.monotonic() > give_up:
                for place, _ in places(route):
                    await self._runtime.cut(place)
                return left
            await asyncio.sleep(POLL_S)
        return 0

    async def _sessions(self, route: Route) -> int:
        return sum([await self._runtime.sessions(place) for place, _ in places(route)])

    async def _remove(self, place: Place) -> None:
        """Delete a server that nobody uses any more; one that cannot be is left without work."""
        name = "/".join(place)
        await self._tell(f"set server {name} state maint")
        give_up = time.monotonic() + GONE_S
        while place in await self._runtime.servers() and time.monotonic() < give_up:
            await self._runtime.tell(f"del server {name}")
            await asyncio.sleep(POLL_S)

    async def _there(self, route: Route) -> Mapping[Place, Server]:
        """Return the servers of a route that the balancer has."""
        servers = await self._runtime.servers()
        return {place: servers[place] for place, _ in places(route) if place in servers}

    async def _tell(self, command: str) -> None:
        """Tell HAProxy to do something. Raises `RoutingFailedError` where it would not."""
        said = (await self._runtime.tell(command)).strip()
        if said and said != "New server registered.":
            message = f"HAProxy, told to {command}: {said}"
            raise RoutingFailedError(message)


def _replace(path: Path, data: bytes) -> None:
    """Write a file: whoever reads it sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(data)
    fresh.replace(path)
