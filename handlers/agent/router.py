"""The agent named `routing`: puts containers into DNS and balancer, takes them out, and reads back.

Nothing is believed to be routed or unrouted because it was asked for: both are asked again, and
what they say is what is reported.
"""

import asyncio
from typing import Protocol

from domain.orders import Order, RouteIn, RouteOut
from handlers.agent.desk import Done


class RoutingFailedError(RuntimeError):
    """DNS or balancer would not; the message says which and why."""


class Names(Protocol):
    """DNS. Methods that change something raise `RoutingFailedError`."""

    async def put(self, name: str, address: str) -> None: ...

    async def take(self, name: str, address: str) -> None: ...

    async def read(self, name: str) -> frozenset[str]:
        """Return the addresses that a query is answered with."""
        ...


class Balancer(Protocol):
    """The balancer. Methods that change something raise `RoutingFailedError`."""

    async def put(self, address: str) -> None: ...

    async def drain(self, address: str) -> None:
        """Send it nothing new, let what it serves end, and take it out."""
        ...

    async def read(self, address: str) -> bool:
        """Return whether the server is given new work."""
        ...


class RouterCrew:
    """Carries out what the router is ordered; see `Crew`."""

    def __init__(self, names: Names, balancer: Balancer) -> None:
        self._names = names
        self._balancer = balancer
        self._lock = asyncio.Lock()

    async def serve(self, tasks: asyncio.TaskGroup) -> None:
        """There is nothing besides orders."""

    def settle(self, order: Order, done: Done) -> None:
        """There is nothing to remember: DNS and balancer are asked each time."""

    def may_begin(self) -> bool:
        """It carries nothing that could run twice, and needs no lease."""
        return True

    async def carry_out(self, order: Order) -> Done:
        async with self._lock:
            try:
                match order.work:
                    case RouteIn(names=names, address=address):
                        detail = await self._route_in(names, address)
                    case RouteOut(names=names, address=address):
                        detail = await self._route_out(names, address)
                    case _:
                        detail = "the router runs no containers"
            except RoutingFailedError as error:
                detail = str(error)
        return Done(done=not detail, detail=detail)

    async def _route_in(self, names: tuple[str, ...], address: str) -> str:
        """Balancer first: what DNS names must be able to serve."""
        await self._balancer.put(address)
        for name in names:
            await self._names.put(name, address)
        if not await self._balancer.read(address):
            return f"the balancer does not send work to {address}"
        lacking = [name for name in names if address not in await self._names.read(name)]
        return f"DNS does not name {address} for {', '.join(lacking)}" if lacking else ""

    async def _route_out(self, names: tuple[str, ...], address: str) -> str:
        """DNS first: what is drained must not be found any more."""
        for name in names:
            await self._names.take(name, address)
        await self._balancer.drain(address)
        still = [name for name in names if address in await self._names.read(name)]
        if still:
            return f"DNS still names {address} for {', '.join(still)}"
        if await self._balancer.read(address):
            return f"the balancer still sends work to {address}"
        return ""
