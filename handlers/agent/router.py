"""The agent named `routing`: puts containers into DNS and balancer, takes them out, and reads back.

Nothing is believed to be routed or unrouted because it was asked for: both are asked again, and
what they say is what is reported. What was confirmed is compared with them now and then, and
mended where they have forgotten it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

import structlog
from msgspec.structs import replace

from domain.orders import Order, RouteIn, RouteOut
from handlers.agent.desk import Done
from handlers.agent.routes import Route, Routes, Standing
from handlers.agent.ways import Ways
from handlers.network.tools import NetworkFailedError

log = structlog.stdlib.get_logger(__name__)

MEND_EVERY_S = 15.0


class RoutingFailedError(RuntimeError):
    """DNS or balancer would not; the message says which and why."""


class Names(Protocol):
    """DNS. All methods raise `RoutingFailedError`."""

    async def put(self, route: Route) -> None: ...

    async def take(self, route: Route, *, keep_last: bool) -> None:
        """Take it out; with `keep_last` not where its layer's name would lead nowhere."""
        ...

    async def lacking(self, route: Route) -> tuple[str, ...]:
        """Return the names that do not lead to it yet, wherever one asks."""
        ...

    async def still(self, route: Route) -> tuple[str, ...]:
        """Return the names that lead to it yet, wherever one asks."""
        ...

    async def mend(self) -> tuple[str, ...]:
        """Make it so again for what is in, and for what is gone; say what was not."""
        ...


class Balancer(Protocol):
    """The balancer. All methods raise `RoutingFailedError`."""

    async def put(self, route: Route) -> None: ...

    async def drain(self, route: Route) -> int:
        """Send it nothing new, let what it serves end, take it out; return what was cut."""
        ...

    async def serves(self, route: Route) -> bool:
        """Return whether the server is given new work."""
        ...

    async def mend(self) -> tuple[str, ...]:
        """Make it so again for what is in, and for what is gone; say what was not."""
        ...


class RouterCrew:
    """Carries out what the router is ordered; see `Crew`."""

    def __init__(
        self,
        names: Names,
        balancer: Balancer,
        routes: Routes,
        *,
        ways: Ways | None = None,
        mend_every_s: float = MEND_EVERY_S,
    ) -> None:
        self._names = names
        self._balancer = balancer
        self._routes = routes
        self._ways = ways or Ways("", routes)
        self._mend_every_s = mend_every_s
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def serve(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to mend what DNS and balancer forget."""
        tasks.create_task(self._mend())

    def settle(self, order: Order, done: Done) -> None:
        """There is nothing more to remember: the table of routes has it."""

    def may_begin(self) -> bool:
        """It carries nothing that could run twice, and needs no lease."""
        return True

    async def carry_out(self, order: Order) -> Done:
        work = order.work
        if not isinstance(work, RouteIn | RouteOut):
            return Done(done=False, detail="the router runs no containers")
        route = Route(work.names, work.address, work.ports, work.stateful)
        if isinstance(work, RouteIn):
            route = replace(route, network=work.network)
        async with self._locks[work.address]:
            try:
                if isinstance(work, RouteIn):
                    done = await self._route_in(route)
                else:
                    done = await self._route_out(route, keep_last=work.keep_last)
            except RoutingFailedError as error:
                done = Done(done=False, detail=str(error))
            await self._routes.sync()
            return done

    async def _route_in(self, route: Route) -> Done:
        """Put it in, or leave things as they were."""
        self._routes.come(route)
        try:
            detail = await self._put(route)
        except (RoutingFailedError, NetworkFailedError) as error:
            detail = str(error)
        if not detail:
            self._routes.stay(route.address)
            return Done(done=True)
        told = self._routes.get(route.address)
        if told is not None and told.standing is Standing.COMING:
            await self._withdraw(route)
        return Done(done=False, detail=detail)

    async def _put(self, route: Route) -> str:
        """Balancer first: what DNS names must be able to serve; and before it a way there."""
        await self._ways.reach(route)
        await self._balancer.put(route)
        await self._names.put(route)
        if not await self._balancer.serves(route):
            return f"the balancer does not send work to {route.address}"
        lacking = await self._names.lacking(route)
        return f"DNS does not name {route.address} for {', '.join(lacking)}" if lacking else ""

    async def _withdraw(self, route: Route) -> None:
        """Take out again what could not be put in. What cannot be reached now is mended later."""
        try:
            await self._names.take(route, keep_last=False)
            await self._balancer.drain(route)
        except RoutingFailedError as error:
            await log.awarning("router.not-withdrawn", address=route.address, error=str(error))
        self._routes.drop(route.address)

    async def _route_out(self, route: Route, *, keep_last: bool) -> Done:
        """DNS first: what is drained must not be found any more."""
        route = self._routes.leave(route)
        await self._names.take(route, keep_last=keep_last)
        cut = await self._balancer.drain(route)
        still = await self._names.still(route)
        if still:
            detail = f"DNS still names {route.address} for {', '.join(still)}"
            return Done(done=False, detail=detail)
        if await self._balancer.serves(route):
            detail = f"the balancer still sends work to {route.address}"
            return Done(done=False, detail=detail)
        self._routes.drop(route.address)
        return Done(done=True, cut=cut)

    async def _mend(self) -> None:
        while True:
            try:
                await self._ways.mend()
            except NetworkFailedError as error:
                await log.awarning("router.cannot-reach", error=str(error))
            for part in (self._balancer, self._names):
                try:
                    mended: Iterable[str] = await part.mend()
                except RoutingFailedError as error:
                    await log.awarning("router.cannot-mend", error=str(error))
                else:
                    for one in mended:
                        await log.awarning("router.mended", what=one)
            await asyncio.sleep(self._mend_every_s)
