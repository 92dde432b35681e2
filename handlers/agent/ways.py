"""How the router gets to containers: over a leg in the network of each environment it serves."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from handlers.agent.routes import Route, Routes
from handlers.agent.runtime import RuntimeFailedError
from handlers.network.legs import Legs
from handlers.network.tools import NetworkFailedError


class Ways:
    """The legs of one router: in the networks that its table of routes names, and in no other.

    Without an `underlay` there are none, and containers are reached as the machine reaches them.
    """

    def __init__(self, underlay: str, routes: Routes, legs: Legs | None = None) -> None:
        self.underlay = underlay
        self._routes = routes
        self._legs = legs or Legs(underlay)
        self._alone = asyncio.Lock()

    def networks(self) -> frozenset[int]:
        return frozenset(route.network for route in self._routes if route.network)

    async def point(self, network: int, table: Mapping[str, str]) -> None:
        """Have all of a network found where the table says. Raises `RuntimeFailedError`."""
        if network in self.networks():
            async with self._alone:
                try:
                    await asyncio.to_thread(self._legs.point, network, table)
                except NetworkFailedError as error:
                    raise RuntimeFailedError(str(error)) from error

    async def reach(self, route: Route) -> None:
        """Have a leg to it. Raises `NetworkFailedError`."""
        if self.underlay and route.network:
            async with self._alone:
                await asyncio.to_thread(self._legs.join, route.network, (route.address,))

    async def mend(self) -> None:
        """Have a leg to all that is routed, and to nothing else. Raises `NetworkFailedError`."""
        if self.underlay:
            async with self._alone:
                await asyncio.to_thread(self._mend)

    def _mend(self) -> None:
        wanted: defaultdict[int, list[str]] = defaultdict(list)
        for route in self._routes:
            if route.network:
                wanted[route.network].append(route.address)
        joined = self._legs.joined()
        for network in joined - wanted.keys():
            self._legs.leave(network)
        for network in wanted.keys() - joined:
            self._legs.join(network, tuple(wanted[network]))
