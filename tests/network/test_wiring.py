"""Containers of one environment reach each other over hosts; nobody else does, nor the host."""

import pytest

from handlers.network.shapes import mac_of
from handlers.network.tools import NetworkFailedError, Tools
from handlers.network.wiring import HostNetwork
from tests.network.fabric import fabric_of

SHOP, BLOG = 17, 18


@pytest.fixture
def fabric():
    with fabric_of(2) as made:
        yield made


def devices(fabric, host):
    lines = Tools(fabric.host(host)).run(("ip", "-br", "link", "show")).splitlines()
    return {line.split("@")[0].split()[0] for line in lines}


def test_an_environment_reaches_over_hosts_and_ends_at_its_own_edge(fabric):
    fabric.container(1, SHOP, 0)
    fabric.container(2, SHOP, 0)
    fabric.container(3, SHOP, 1)
    fabric.container(4, BLOG, 0)
    fabric.container(5, BLOG, 1)
    fabric.tell(SHOP, {1: 0, 2: 0, 3: 1})
    fabric.tell(BLOG, {4: 0, 5: 1})

    assert fabric.reaches(1, 2)
    assert fabric.reaches(1, 3)
    assert fabric.reaches(5, 4)
    assert not fabric.reaches(1, 4)
    assert not fabric.reaches(1, 5)


def test_what_was_not_told_does_not_exist(fabric):
    fabric.container(1, SHOP, 0)
    fabric.container(3, SHOP, 1)

    assert not fabric.reaches(1, 3)
    fabric.tell(SHOP, {1: 0, 3: 1})
    assert fabric.reaches(1, 3)
    fabric.tell(SHOP, {1: 0})
    assert not fabric.reaches(1, 3)


def test_where_the_address_of_a_host_is_not_known_what_was_known_of_its_containers_stays(fabric):
    fabric.container(1, SHOP, 0)
    fabric.container(3, SHOP, 1)
    fabric.tell(SHOP, {1: 0, 3: 1})

    fabric.hosts[0].point(SHOP, {"10.0.0.1": "192.168.77.1", "10.0.0.3": "", "10.0.0.4": ""})
    assert fabric.reaches(1, 3)
    fabric.hosts[0].point(SHOP, {"10.0.0.1": "192.168.77.1"})
    assert not fabric.reaches(1, 3)


def test_a_container_keeps_address_and_mac_when_it_moves_and_is_found_at_once(fabric):
    fabric.container(1, SHOP, 0)
    plug = fabric.container(3, SHOP, 1)
    fabric.tell(SHOP, {1: 0, 3: 1})
    assert fabric.reaches(1, 3)
    before = Tools(plug.namespace).run(("ip", "-br", "link", "show", "eth0"))

    fabric.unplug(3, 1)
    fabric.container(3, SHOP, 0)
    fabric.tell(SHOP, {1: 0, 3: 0})

    after = Tools(plug.namespace).run(("ip", "-br", "link", "show", "eth0"))
    assert mac_of(plug.address) in before
    assert mac_of(plug.address) in after
    assert fabric.hears(1, plug.address)


def test_the_host_is_not_on_the_network_whatever_address_it_has(fabric):
    fabric.container(1, SHOP, 0)
    fabric.container(2, SHOP, 1)
    fabric.tell(SHOP, {1: 0, 2: 1})
    for number in (0, 1):
        # Without a way back it would answer nobody, whatever it was asked.
        Tools(fabric.host(number)).ip(
            f"address add 10.9.9.{number}/32 dev lo", "route add 10.0.0.0/24 dev rb17"
        )

    assert fabric.reaches(1, 2)
    assert not fabric.hears(1, "10.9.9.0")
    assert not fabric.hears(1, "10.9.9.1")


def test_asked_twice_nothing_changes_and_nothing_is_left(fabric):
    host = fabric.hosts[0]
    for _ in range(2):
        fabric.container(1, SHOP, 0)
        fabric.container(2, SHOP, 0)
        fabric.tell(SHOP, {1: 0, 2: 0, 3: 1})
    assert devices(fabric, 0) == {"lo", "eth0", "c1", "c2", "rb17", "rv17"}

    fabric.unplug(1, 0)
    assert devices(fabric, 0) == {"lo", "eth0", "c2", "rb17", "rv17"}
    fabric.unplug(2, 0)
    host.tidy()
    assert devices(fabric, 0) == {"lo", "eth0"}
    fabric.tell(SHOP, {3: 1})
    assert devices(fabric, 0) == {"lo", "eth0"}


def test_what_a_killed_agent_left_is_taken_away_but_for_what_is_in_use(fabric):
    inside = Tools(fabric.host(0))
    fabric.container(1, SHOP, 0)
    inside.ip("link add rb18 type bridge", "link add rv19 type vxlan id 19 dstport 4789")
    inside.ip("link add rb4x type bridge")

    assert fabric.hosts[0].tidy() == ("rb18", "rv19")
    assert devices(fabric, 0) == {"lo", "eth0", "c1", "rb17", "rv17", "rb4x"}


def test_what_cannot_be_is_refused_in_words(fabric):
    fabric.container(1, SHOP, 0)
    with pytest.raises(NetworkFailedError, match="network 0: the number must be 1 to 16,777,215"):
        fabric.hosts[0].attach(0, "c1", "10.0.0.1")
    with pytest.raises(NetworkFailedError, match=r"ip -batch -: .*nobody"):
        fabric.hosts[0].attach(SHOP, "nobody", "10.0.0.1")
    elsewhere = HostNetwork("192.168.78.1", namespace=fabric.host(0))
    with pytest.raises(
        NetworkFailedError, match=r"no device of this host has the address 192\.168\.78\.1"
    ):
        elsewhere.attach(BLOG, "c1", "10.0.0.1")
