"""Names that lead to containers: theirs and their layer's inside, their layer's outside too.

Inside, a name leads to the containers' own addresses; outside, to the balancer, as long as there
is a container behind it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial

from handlers.agent.router import RoutingFailedError
from handlers.agent.routes import Route, Routes, Standing
from handlers.traffic.authority import Addresses, Authority
from handlers.traffic.settings import External

CONFIRM_S = 3.0
"""How long servers that follow the first one may take to do so."""
POLL_S = 0.05


class DnsNames:
    """DNS on real servers; see `Names`."""

    def __init__(
        self,
        authority: Authority,
        routes: Routes,
        external: External | None = None,
        *,
        confirm_s: float = CONFIRM_S,
    ) -> None:
        self._authority = authority
        self._routes = routes
        self._external = external
        self._confirm_s = confirm_s

    async def put(self, route: Route) -> None:
        for name in route.names:
            await self._authority.change(name, lambda old: old | {route.address})
        for name, public in self._abroad(route):
            await self._authority.change(name, partial(_all_of, public))

    async def take(self, route: Route, *, keep_last: bool) -> None:
        def less(old: Addresses) -> Addresses:
            return old - {route.address}

        def less_of_some(old: Addresses) -> Addresses:
            if keep_last and old == frozenset({route.address}):
                message = f"{route.address} is the last record of {route.layer}, which stays"
                raise RoutingFailedError(message)
            return old - {route.address}

        await self._authority.change(route.layer, less_of_some)
        for name in route.names[:-1]:
            await self._authority.change(name, less)
        for name, _ in self._abroad(route):
            if not self._others(route):
                await self._authority.change(name, lambda _: frozenset())

    async def lacking(self, route: Route) -> tuple[str, ...]:
        return await self._those(route, wanted=True)

    async def still(self, route: Route) -> tuple[str, ...]:
        return await self._those(route, wanted=False)

    async def mend(self) -> tuple[str, ...]:
        mended: list[str] = []
        for zone in self._authority.zones:
            content = await self._authority.content(zone)
            for name, known in self._wanted().items():
                held = content.get(name, frozenset())
                if self._authority.find_zone(name) != zone or right(known, held) == held:
                    continue
                if await self._authority.change(name, partial(self._right, name)):
                    mended.append(f"DNS named {', '.join(sorted(held)) or 'nobody'} for {name}")
        return tuple(mended)

    def _right(self, name: str, held: Addresses) -> Addresses:
        return right(self._wanted().get(name, {}), held)

    def _wanted(self) -> Mapping[str, Mapping[str, Standing]]:
        """Return all names, inside and outside, and the standing of each address."""
        inside = self._routes.wanted()
        served = {route.layer for route in self._routes if route.ports}
        left = {name for name, known in inside.items() if not known}
        outside: dict[str, Mapping[str, Standing]] = {}
        for layer in served | left:
            for name, public in self._outside(layer):
                standing = _best(inside.get(layer, {}))
                outside[name] = {one: standing for one in public if standing}
        return {**inside, **outside}

    def _outside(self, layer: str) -> Iterator[tuple[str, Addresses]]:
        """Yield the name that a layer has outside, if it has one, and the addresses of it."""
        if (external := self._external) and (name := external.name_of(layer)):
            yield name, frozenset(external.public)

    def _abroad(self, route: Route) -> list[tuple[str, Addresses]]:
        """Return where the world finds a route: only what the balancer serves."""
        return list(self._outside(route.layer)) if route.ports else []

    def _others(self, route: Route) -> bool:
        """Say whether somebody else is behind a layer's name, and stays."""
        behind = self._routes.wanted().get(route.layer, {}).items()
        others = (standing for address, standing in behind if address != route.address)
        return any(standing is not Standing.LEAVING for standing in others)

    async def _those(self, route: Route, *, wanted: bool) -> tuple[str, ...]:
        """Ask all servers until they have followed; return the names that are not as `wanted`."""
        give_up = time.monotonic() + self._confirm_s
        while True:
            wrong = [name async for name in self._wrong(route, wanted=wanted)]
            if not wrong or time.monotonic() > give_up:
                return tuple(wrong)
            await asyncio.sleep(POLL_S)

    async def _wrong(self, route: Route, *, wanted: bool) -> AsyncIterator[str]:
        """Yield each name for each server that does not answer as `wanted`."""
        for name in route.names:
            for answer in await self._authority.read(name):
                if (route.address in answer) != wanted:
                    yield name
        for name, public in self._abroad(route):
            if wanted or not self._others(route):
                for answer in await self._authority.read(name):
                    if (public <= answer) != wanted:
                        yield name


def _all_of(addresses: Addresses, _old: Addresses) -> Addresses:
    return addresses


def right(known: Mapping[str, Standing], held: Addresses) -> Addresses:
    """Return what a name is to lead to; what is on its way, either way, is left to its order."""
    wanted = frozenset(address for address in known if known[address] is Standing.IN)
    return wanted | (held & frozenset(known))


def _best(known: Mapping[str, Standing]) -> Standing | None:
    """Return the standing of a name that some are behind: it is in as soon as one is."""
    for standing in (Standing.IN, Standing.COMING, Standing.LEAVING):
        if standing in known.values():
            return standing
    return None
