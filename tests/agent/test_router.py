"""The router reports what DNS and balancer say when asked again, not what they were told."""

import pytest

from domain.messages import ContainerId, HostId, OrderId
from domain.orders import AnyWork, Order, RouteIn, RouteOut
from handlers.agent.router import RouterCrew

NAMES = ("web.shop.internal",)


class Deaf:
    """Says yes and does nothing."""

    def __init__(self, *, routed: bool) -> None:
        self.routed = routed

    async def put(self, *_said: str) -> None: ...

    async def take(self, *_said: str) -> None: ...

    async def drain(self, *_said: str) -> None: ...


class DeafNames(Deaf):
    async def read(self, _name: str) -> frozenset[str]:
        return frozenset({"10.0.0.1"}) if self.routed else frozenset()


class DeafBalancer(Deaf):
    async def read(self, _address: str) -> bool:
        return self.routed


@pytest.mark.parametrize(
    ("work", "names", "balancer", "detail"),
    [
        (RouteIn(NAMES, "10.0.0.1"), False, True, "DNS does not name 10.0.0.1 for web.shop"),
        (RouteIn(NAMES, "10.0.0.1"), True, False, "the balancer does not send work to 10.0.0.1"),
        (RouteOut(NAMES, "10.0.0.1"), True, False, "DNS still names 10.0.0.1 for web.shop"),
        (RouteOut(NAMES, "10.0.0.1"), False, True, "the balancer still sends work to 10.0.0.1"),
        (RouteIn(NAMES, "10.0.0.1"), True, True, ""),
        (RouteOut(NAMES, "10.0.0.1"), False, False, ""),
    ],
)
async def test_what_was_asked_for_is_read_back(
    work: AnyWork,
    names: bool,
    balancer: bool,
    detail: str,
):
    crew = RouterCrew(DeafNames(routed=names), DeafBalancer(routed=balancer))
    order = Order(OrderId("o1"), HostId("routing"), ContainerId("node1"), work)
    done = await crew.carry_out(order)
    assert done.done == (detail == "")
    assert done.detail.startswith(detail)
