"""Names lead to containers, on a real DNS server, until it is confirmed that they do not."""

import asyncio

import pytest

from handlers.agent.router import RoutingFailedError
from handlers.agent.routes import Route
from handlers.traffic.authority import Authority
from handlers.traffic.names import DnsNames
from handlers.traffic.settings import Key
from tests.traffic.conftest import until_answering
from tests.traffic.servers import EXTERNAL

LAYER = "app.shop.restow.internal"
OUTSIDE = "app.shop.apps.example"
ONE = Route(("node1-shop.restow.internal", LAYER), "10.0.0.1", (8080,))
TWO = Route(("node2-shop.restow.internal", LAYER), "10.0.0.2", (8080,))
SIX = Route(("node6-shop.restow.internal", LAYER), "fd00::6", (8080,))
PUBLIC = {"203.0.113.5"}


@pytest.fixture
def names(knot, routes):
    return DnsNames(knot.authority(), routes, EXTERNAL, confirm_s=0.2)


async def put(names, routes, *those):
    for route in those:
        routes.come(route)
        await names.put(route)
        routes.stay(route.address)


async def take(names, routes, route, *, keep_last=False):
    routes.leave(route)
    await names.take(route, keep_last=keep_last)
    routes.drop(route.address)


async def asked(knot, name):
    (answer,) = await knot.authority().read(name)
    return set(answer)


async def test_a_container_has_its_own_name_and_its_layers_inside_and_its_layers_outside(
    knot, names, routes
):
    await put(names, routes, ONE, TWO, SIX)

    assert await asked(knot, ONE.names[0]) == {"10.0.0.1"}
    assert await asked(knot, LAYER) == {"10.0.0.1", "10.0.0.2", "fd00::6"}
    assert await asked(knot, OUTSIDE) == PUBLIC
    assert await names.lacking(ONE) == ()
    assert await names.still(TWO) == (*TWO.names,)


async def test_what_was_taken_out_is_confirmed_and_its_layer_stays_for_the_others(
    knot, names, routes
):
    await put(names, routes, ONE, TWO)

    await take(names, routes, ONE, keep_last=True)

    assert await names.still(ONE) == ()
    assert await names.lacking(ONE) == (*ONE.names, OUTSIDE)[:2]
    assert await asked(knot, LAYER) == {"10.0.0.2"}
    assert await asked(knot, OUTSIDE) == PUBLIC


async def test_the_last_two_leave_together_and_so_does_the_name_outside(knot, names, routes):
    await put(names, routes, ONE, TWO)
    for route in (ONE, TWO):
        routes.leave(route)
        await names.take(route, keep_last=False)
    for route in (ONE, TWO):
        assert await names.still(route) == ()
        routes.drop(route.address)
    assert await asked(knot, OUTSIDE) == set()


async def test_the_last_record_stays_unless_it_may_go(knot, names, routes):
    await put(names, routes, ONE)

    with pytest.raises(RoutingFailedError, match=r"is the last record of app\.shop"):
        await names.take(ONE, keep_last=True)
    assert await asked(knot, ONE.names[0]) == {"10.0.0.1"}

    await take(names, routes, ONE)
    assert [await asked(knot, name) for name in (*ONE.names, OUTSIDE)] == [set(), set(), set()]


async def test_asked_twice_nothing_more_happens(knot, names, routes):
    await put(names, routes, ONE, TWO)
    await put(names, routes, ONE)
    await take(names, routes, TWO)
    await take(names, routes, TWO)

    assert await asked(knot, LAYER) == {"10.0.0.1"}


async def test_who_changes_one_name_at_once_does_not_undo_the_others_work(knot, names, routes):
    those = [Route((f"node{n}-shop.restow.internal", LAYER), f"10.0.0.{n}") for n in range(1, 7)]

    await asyncio.gather(*(put(names, routes, one) for one in those))

    assert await asked(knot, LAYER) == {one.address for one in those}


async def test_a_restart_of_the_server_forgets_nothing(knot, names, routes):
    await put(names, routes, ONE, TWO)

    knot.kill()
    with pytest.raises(RoutingFailedError, match="does not answer"):
        await names.lacking(ONE)
    knot.start()
    await until_answering(knot)

    assert await names.lacking(ONE) == ()
    assert await names.mend() == ()


async def test_what_was_changed_behind_our_back_is_mended_and_the_rest_is_left_alone(
    knot, names, routes
):
    await put(names, routes, ONE, TWO)
    await take(names, routes, TWO)
    others = knot.authority()
    await others.change(LAYER, lambda _: frozenset({"10.0.0.2", "10.9.9.9"}))
    await others.change(TWO.names[0], lambda _: frozenset({"10.0.0.2"}))
    await others.change(OUTSIDE, lambda _: frozenset())
    await others.change("printer.restow.internal", lambda _: frozenset({"10.9.9.9"}))

    mended = await names.mend()

    assert {*mended} == {
        f"DNS named 10.0.0.2, 10.9.9.9 for {LAYER}",
        f"DNS named 10.0.0.2 for {TWO.names[0]}",
        f"DNS named nobody for {OUTSIDE}",
    }
    assert await asked(knot, LAYER) == {"10.0.0.1"}
    assert await asked(knot, TWO.names[0]) == set()
    assert await asked(knot, OUTSIDE) == PUBLIC
    assert await asked(knot, "printer.restow.internal") == {"10.9.9.9"}
    assert await names.mend() == ()


async def test_what_is_on_its_way_is_not_mended(knot, names, routes):
    await put(names, routes, ONE, TWO)
    routes.leave(ONE)
    await names.take(ONE, keep_last=True)
    routes.come(SIX)

    assert await names.mend() == ()
    assert await asked(knot, LAYER) == {"10.0.0.2"}


async def test_a_wrong_key_changes_nothing(knot, routes):
    wrong = Key("restow", "hmac-sha256", "bm90IHRoZSByaWdodCBzZWNyZXQgYXQgYWxsLCBubyE=")
    names = DnsNames(Authority(knot.settings, wrong), routes)

    with pytest.raises(RoutingFailedError, match=r"DNS server 127\.0\.0\.1:"):
        await put(names, routes, ONE)
    assert await asked(knot, LAYER) == set()


async def test_a_name_outside_the_zones_is_refused(names, routes):
    strange = Route(("node1-shop.elsewhere.org", "app.shop.elsewhere.org"), "10.0.0.1")

    with pytest.raises(RoutingFailedError, match="is in none of the zones of the router"):
        await put(names, routes, strange)
