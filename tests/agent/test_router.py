"""The router reports what DNS and balancer say when asked again, not what they were told."""

import pytest

from domain.messages import ContainerId, HostId, OrderId
from domain.orders import AnyWork, Order, RouteIn, RouteOut
from handlers.agent.router import RouterCrew

IN, OUT = ("10.0.0.1",), ()
NAMES = ("web.shop.internal",)


class Deaf:
    """Says yes and does nothing."""

    def __init__(self, named: tuple[str, ...]) -> None:
        self.named = named

    async def put(self, *_said: str) -> None: ...

    async def take(self, *_said: str) -> None: ...

    async def drain(self, *_said: str) -> None: ...


class DeafNames(Deaf):
    async def read(self, _name: str) -> frozenset[str]:
        return frozenset(self.named)


class DeafBalancer(Deaf):
    async def read(self, address: str) -> bool:
        return address in self.named


@pytest.mark.parametrize(
    ("work", "names", "balancer", "detail"),
    [
        (RouteIn(NAMES, "10.0.0.1"), OUT, IN, "DNS does not name 10.0.0.1 for web.shop"),
        (RouteIn(NAMES, "10.0.0.1"), IN, OUT, "the balancer does not send work to 10.0.0.1"),
        (RouteOut(NAMES, "10.0.0.1"), IN, OUT, "DNS still names 10.0.0.1 for web.shop"),
        (RouteOut(NAMES, "10.0.0.1"), OUT, IN, "the balancer still sends work to 10.0.0.1"),
        (RouteIn(NAMES, "10.0.0.1"), IN, IN, ""),
        (RouteOut(NAMES, "10.0.0.1"), OUT, OUT, ""),
    ],
)
async def test_what_was_asked_for_is_read_back(
    work: AnyWork, names: tuple[str, ...], balancer: tuple[str, ...], detail: str
):
    crew = RouterCrew(DeafNames(names), DeafBalancer(balancer))
    order = Order(OrderId("o1"), HostId("routing"), ContainerId("node1"), work)
    done = await crew.carry_out(order)
    assert done.done == (detail == "")
    assert done.detail.startswith(detail)
