"""Ways to restart three containers behind a real balancer while requests come in."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

from domain.messages import ContainerId, HostId, OrderId
from domain.operation import GRACE_MS, TTL_MS
from domain.orders import AnyWork, Order, RouteIn, RouteOut
from handlers.agent.router import RouterCrew
from handlers.agent.routes import Routes
from handlers.traffic.balancer import HaproxyBalancer
from handlers.traffic.names import DnsNames
from restow.lab import load
from tests.traffic.servers import EXTERNAL, Knot, Process, Proxy, answering, free_port, until

HERE = Path(__file__).parent
LAYER = "app.shop.restow.internal"
RATE = 300
"""Requests a second."""
LEAD_S = 0.5


class Load(msgspec.Struct):
    """How requests went."""

    done: int
    failed: int
    what: str


class Container(Process):
    """An HTTP server in a process of its own, which ends at once, with all that it serves."""

    def __init__(self, folder: Path, number: int, port: int) -> None:
        self.names = (f"node{number}-shop.restow.internal", LAYER)
        self.address = f"127.0.0.{number}"
        self.port = port
        command = (sys.executable, "-S", str(HERE / "web.py"), self.address, str(port))
        super().__init__(folder / f"node{number}.log", *command)

    async def healthy(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.address, self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def restart(self) -> None:
        self.stop()
        self.start()
        await until(self.healthy)

    def route_in(self) -> RouteIn:
        return RouteIn(self.names, self.address, (self.port,))

    def route_out(self) -> RouteOut:
        return RouteOut(self.names, self.address, (self.port,), keep_last=True)


class Site:
    """A router, and three containers that it has put into DNS and balancer."""

    def __init__(self, crew: RouterCrew, containers: list[Container], http: int) -> None:
        self._crew = crew
        self._http = http
        self.containers = containers

    async def order(self, work: AnyWork) -> None:
        order = Order(OrderId("or1"), HostId("routing"), ContainerId("node1"), work)
        done = await self._crew.carry_out(order)
        assert done.done, done.detail

    async def under_load(self, way: Callable[["Site"], Awaitable[None]]) -> Load:
        """Restart the containers this way while requests come in; return how those went."""
        words = ("-S", load.__file__, "127.0.0.1", str(self._http), LAYER, str(RATE))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=pipe, stdout=pipe
        )
        await asyncio.sleep(LEAD_S)
        await way(self)
        await asyncio.sleep(LEAD_S)
        said, _ = await process.communicate(b"")  # its input ends
        done, failed, what = said.decode().strip().split(maxsplit=2)
        return Load(int(done), int(failed), what)


async def drained(site: Site) -> None:
    """Restart one by one, each out of DNS and balancer first, and back in when healthy."""
    for one in site.containers:
        await site.order(one.route_out())
        await asyncio.sleep((TTL_MS + GRACE_MS) / 1_000)
        await one.restart()
        await site.order(one.route_in())


async def one_by_one(site: Site) -> None:
    """Restart one by one, each when the one before it is healthy."""
    for one in site.containers:
        await one.restart()


async def all_at_once(site: Site) -> None:
    await asyncio.gather(*(one.restart() for one in site.containers))


@contextlib.asynccontextmanager
async def site_of(knot: Knot, proxy: Proxy, routes: Routes, folder: Path) -> AsyncIterator[Site]:
    """Return a site on this DNS server and this balancer, with three containers that serve."""
    port = free_port()
    containers = [Container(folder, number, port) for number in (2, 3, 4)]
    balancer = HaproxyBalancer(proxy.settings, routes, EXTERNAL)
    crew = RouterCrew(DnsNames(knot.authority(), routes, EXTERNAL), balancer, routes)
    site = Site(crew, containers, proxy.http)
    try:
        proxy.start()
        for one in containers:
            one.start()
        await until(lambda: answering(proxy), "HAProxy does not answer")
        for one in containers:
            await until(one.healthy)
            await site.order(one.route_in())
        yield site
    finally:
        for one in containers:
            one.stop()
