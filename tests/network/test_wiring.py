"""Containers of one environment reach each other over hosts; nobody else does, and nobody lies."""

import pytest

from handlers.network.shapes import Plug, mac_of
from handlers.network.tools import NetworkFailedError, Tools
from tests.network.fabric import fabric_of, named

SHOP, BLOG = 17, 18


@pytest.fixture
async def fabric():
    async with fabric_of(2) as made:
        yield made
    assert named(made.label) == []


async def soon(fabric, one, other):
    """Say whether it is heard, though it may still be waiting for an answer to its first call."""
    return any([await fabric.hears(one, other) for _ in range(3)])


async def test_an_environment_reaches_over_hosts_and_ends_at_its_own_edge(fabric):
    await fabric.container(1, SHOP, 0)
    await fabric.container(2, SHOP, 0)
    await fabric.container(3, SHOP, 1)
    await fabric.container(4, BLOG, 0)
    await fabric.container(5, BLOG, 1)
    await fabric.tell(SHOP, {1: 0, 2: 0, 3: 1})
    await fabric.tell(BLOG, {4: 0, 5: 1})

    assert await fabric.hears(1, 2)
    assert await fabric.hears(1, 3)
    assert await fabric.hears(5, 4)
    assert not await fabric.hears(1, 4)
    assert not await fabric.hears(1, 5)


async def test_what_was_not_told_does_not_exist(fabric):
    await fabric.container(1, SHOP, 0)
    await fabric.container(3, SHOP, 1)

    assert not await fabric.hears(1, 3)
    await fabric.tell(SHOP, {1: 0, 3: 1})
    assert await soon(fabric, 1, 3)
    await fabric.tell(SHOP, {1: 0})
    assert not await fabric.hears(1, 3)


async def test_a_container_keeps_address_and_mac_when_it_moves_and_is_found_at_once(fabric):
    await fabric.container(1, SHOP, 0)
    plug = await fabric.container(3, SHOP, 1)
    await fabric.tell(SHOP, {1: 0, 3: 1})
    assert await fabric.hears(1, 3)
    before = await Tools(plug.namespace).run(("ip", "-br", "link", "show", "eth0"))

    await fabric.hosts[1].detach(plug.address)
    await fabric.container(3, SHOP, 0)
    await fabric.tell(SHOP, {1: 0, 3: 0})

    after = await Tools(plug.namespace).run(("ip", "-br", "link", "show", "eth0"))
    assert mac_of(plug.address) in before
    assert mac_of(plug.address) in after
    assert await fabric.hears(1, 3)


async def test_nobody_speaks_under_another_address(fabric):
    liar = await fabric.container(1, SHOP, 0)
    await fabric.container(2, SHOP, 0)
    await fabric.container(3, SHOP, 1)
    await fabric.tell(SHOP, {1: 0, 2: 0, 3: 1})
    inside = Tools(liar.namespace)

    await inside.ip("address add 10.0.0.9/8 dev eth0")
    assert not await fabric.hears(1, 2, source="10.0.0.9")
    assert await fabric.hears(1, 2, source="10.0.0.1")

    await inside.ip("link set eth0 down", f"link set eth0 address {mac_of('10.0.0.2')}")
    await inside.ip("link set eth0 up")
    assert not await fabric.hears(1, 3, source="10.0.0.1")


async def test_asked_twice_nothing_changes_and_nothing_is_left(fabric):
    host = fabric.hosts[0]
    plug = await fabric.container(1, SHOP, 0)
    await fabric.tell(SHOP, {1: 0, 3: 1})
    await host.attach(plug)
    await fabric.tell(SHOP, {1: 0, 3: 1})
    inside = Tools(fabric.host(0))

    for _ in range(2):
        await host.detach(plug.address)
        await host.leave(SHOP)

    links = await inside.run(("ip", "-br", "link", "show"))
    assert {line.split("@")[0].split()[0] for line in links.splitlines()} == {"lo", "eth0"}
    assert await inside.run(("nft", "list", "tables")) == ""


async def test_what_a_killed_agent_left_is_swept_but_for_what_is_there(fabric):
    host = fabric.hosts[0]
    kept = await fabric.container(1, SHOP, 0)
    await fabric.container(2, BLOG, 0)
    keep = frozenset({"rb17", "rv17", kept.port})

    assert await host.sweep(keep) == ("rb18", "rc0a000002", "rv18")
    assert await host.sweep(keep) == ()
    tables = await Tools(fabric.host(0)).run(("nft", "list", "tables"))
    assert tables == f"table netdev restow-{kept.port}\n"


async def test_what_cannot_be_is_refused_in_words(fabric):
    with pytest.raises(NetworkFailedError, match="network 0: the number must be 1 to 16,777,215"):
        await fabric.hosts[0].join(0)
    with pytest.raises(NetworkFailedError, match=r"ip -batch -: .*nobody"):
        await fabric.hosts[0].attach(Plug("nobody", SHOP, "10.0.0.1"))
