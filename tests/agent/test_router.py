"""The router reports what DNS and balancer say when asked again, and forgets nothing of it."""

import asyncio

import pytest

from domain.messages import ContainerId, HostId, OrderId
from domain.orders import AnyWork, Order, RouteIn, RouteOut
from handlers.agent.desk import Done
from handlers.agent.records import SPARE_BYTES
from handlers.agent.router import RouterCrew, RoutingFailedError
from handlers.agent.routes import Route, Routes, Standing

ADDRESS = "10.0.0.1"
NAMES = ("node1-shop.internal", "web.shop.internal")
ROUTE = Route(NAMES, ADDRESS, (80,))
IN = RouteIn(NAMES, ADDRESS, (80,))
OUT = RouteOut(NAMES, ADDRESS, (80,))


class Fake:
    """DNS or balancer: says what it is told to say, and keeps what it was told to do."""

    def __init__(self, *, names_it: bool, refuses: str = "", cut: int = 0) -> None:
        self.names_it = names_it
        self.refuses = refuses
        self.cut = cut
        self.told: list[str] = []

    def _hear(self, what: str) -> None:
        self.told.append(what)
        if self.refuses == what:
            message = f"{what} refused"
            raise RoutingFailedError(message)

    async def put(self, _route: Route) -> None:
        self._hear("put")

    async def mend(self) -> tuple[str, ...]:
        self._hear("mend")
        return ("a name",)


class FakeNames(Fake):
    async def take(self, _route: Route, *, keep_last: bool) -> None:
        self._hear("take the last too" if not keep_last else "take")

    async def lacking(self, route: Route) -> tuple[str, ...]:
        return () if self.names_it else route.names

    async def still(self, route: Route) -> tuple[str, ...]:
        return route.names if self.names_it else ()


class FakeBalancer(Fake):
    async def drain(self, _route: Route) -> int:
        self._hear("drain")
        return self.cut

    async def serves(self, _route: Route) -> bool:
        return self.names_it


@pytest.fixture
def routes(tmp_path):
    table = Routes(tmp_path / "routes")
    yield table
    table.close()


async def ordered(crew: RouterCrew, work: AnyWork) -> Done:
    return await crew.carry_out(Order(OrderId("o1"), HostId("routing"), ContainerId("node1"), work))


def again(tmp_path) -> list[Route]:
    """Return what a router started now would know."""
    copy = tmp_path / "copy"
    copy.write_bytes((tmp_path / "routes").read_bytes())
    fresh = Routes(copy)
    known = list(fresh)
    fresh.close()
    return known


@pytest.mark.parametrize(
    ("work", "named", "served", "detail"),
    [
        (IN, False, True, f"DNS does not name {ADDRESS} for {', '.join(NAMES)}"),
        (IN, True, False, f"the balancer does not send work to {ADDRESS}"),
        (OUT, True, False, f"DNS still names {ADDRESS} for {', '.join(NAMES)}"),
        (OUT, False, True, f"the balancer still sends work to {ADDRESS}"),
        (IN, True, True, ""),
        (OUT, False, False, ""),
    ],
)
async def test_what_was_asked_for_is_read_back(routes, work, named, served, detail):
    crew = RouterCrew(FakeNames(names_it=named), FakeBalancer(names_it=served), routes)

    done = await ordered(crew, work)

    assert (done.done, done.detail) == (not detail, detail)


async def test_what_is_confirmed_is_remembered_until_it_is_confirmed_that_it_is_gone(
    routes, tmp_path
):
    names, balancer = FakeNames(names_it=True), FakeBalancer(names_it=True)
    crew = RouterCrew(names, balancer, routes)
    await ordered(crew, IN)
    await ordered(crew, IN)
    assert [(one.address, one.standing) for one in again(tmp_path)] == [(ADDRESS, Standing.IN)]

    assert not (await ordered(crew, OUT)).done
    assert [one.standing for one in again(tmp_path)] == [Standing.LEAVING]
    names.names_it = balancer.names_it = False
    balancer.cut = 3
    assert await ordered(crew, OUT) == Done(done=True, cut=3)
    assert again(tmp_path) == []
    assert routes.wanted() == {name: {} for name in NAMES}


@pytest.mark.parametrize("refuses", ["put", ""])
async def test_what_could_not_be_put_in_is_taken_out_again(routes, refuses):
    names = FakeNames(names_it=False, refuses=refuses)
    balancer = FakeBalancer(names_it=True)

    done = await ordered(RouterCrew(names, balancer, routes), IN)

    assert not done.done
    assert names.told == ["put", "take the last too"]
    assert balancer.told == ["put", "drain"]
    assert list(routes) == []


async def test_what_was_in_before_stays_in_when_it_cannot_be_confirmed_again(routes):
    names, balancer = FakeNames(names_it=True), FakeBalancer(names_it=True)
    crew = RouterCrew(names, balancer, routes)
    await ordered(crew, IN)
    names.refuses = "put"

    assert (await ordered(crew, IN)).detail == "put refused"
    assert [one.standing for one in routes] == [Standing.IN]
    assert "drain" not in balancer.told


async def test_what_cannot_even_be_taken_out_again_is_forgotten_and_left_to_be_mended(routes):
    names = FakeNames(names_it=False, refuses="take the last too")
    crew = RouterCrew(names, FakeBalancer(names_it=True), routes)

    assert not (await ordered(crew, IN)).done
    assert list(routes) == []
    assert routes.wanted() == {name: {} for name in NAMES}


async def test_ports_that_were_closed_meanwhile_are_drained_too(routes):
    routes.come(ROUTE)
    routes.stay(ADDRESS)

    assert routes.leave(Route(NAMES, ADDRESS, (81,))).ports == (80, 81)


async def test_dns_and_balancer_are_mended_again_and_again_whatever_they_say(routes):
    names = FakeNames(names_it=True, refuses="mend")
    balancer = FakeBalancer(names_it=True)
    crew = RouterCrew(names, balancer, routes, mend_every_s=0.01)
    async with asyncio.TaskGroup() as tasks:
        running = asyncio.create_task(crew.serve(tasks))
        await running
        while len(names.told) < 3:
            await asyncio.sleep(0.01)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    assert names.told[:3] == ["mend"] * 3


def test_the_file_of_routes_does_not_grow_for_ever(routes, tmp_path):
    noted = SPARE_BYTES // 50
    for _ in range(noted):
        routes.come(ROUTE)
        routes.stay(ADDRESS)
        routes.drop(ADDRESS)

    assert (tmp_path / "routes").stat().st_size < 2 * SPARE_BYTES < 3 * 50 * noted
    assert again(tmp_path) == []
