"""The router gets to the containers of every environment, and none of them gets anywhere by it."""

import subprocess
import sys

import pytest

from handlers.network.legs import Legs
from handlers.network.shapes import GATE
from handlers.network.tools import Tools
from tests.network.fabric import TRY, fabric_of

SHOP, BLOG = 17, 18
ROUTER = 1
SERVES = """
import socket, sys
with socket.create_server(("", int(sys.argv[1]))) as door:
    print("open", flush=True)
    door.accept()
"""


@pytest.fixture
def fabric():
    with fabric_of(2) as made:
        yield made


@pytest.fixture
def legs(fabric):
    return Legs(fabric.underlays[ROUTER], namespace=fabric.host(ROUTER))


def tell(fabric, legs, vni, *numbers):
    """Tell host and router that these are on the first host, and the router on the second."""
    table = {f"10.0.0.{number}": fabric.underlays[0] for number in numbers}
    table[GATE] = fabric.underlays[ROUTER]
    fabric.hosts[0].point(vni, table)
    legs.point(vni, table)


def finds(fabric, address):
    where = Tools(fabric.host(ROUTER))
    said = [where.run((sys.executable, "-S", "-c", TRY, address)).strip() for _ in range(3)]
    return "refused" in said


def in_both(fabric, legs):
    fabric.container(1, SHOP, 0)
    fabric.container(2, BLOG, 0)
    for vni, number in ((SHOP, 1), (BLOG, 2)):
        legs.join(vni, (f"10.0.0.{number}",))
        tell(fabric, legs, vni, number)


def test_the_router_gets_to_containers_of_several_environments(fabric, legs):
    in_both(fabric, legs)

    assert finds(fabric, "10.0.0.1")
    assert finds(fabric, "10.0.0.2")
    assert not fabric.reaches(1, 2)
    assert legs.joined() == {SHOP, BLOG}


def test_asked_again_nothing_changes(fabric, legs):
    for _ in range(2):
        in_both(fabric, legs)

    assert finds(fabric, "10.0.0.1")
    assert finds(fabric, "10.0.0.2")


def test_it_finds_who_came_later_and_not_who_is_gone(fabric, legs):
    in_both(fabric, legs)
    fabric.container(3, SHOP, 0)
    assert not finds(fabric, "10.0.0.3")

    tell(fabric, legs, SHOP, 1, 3)
    assert finds(fabric, "10.0.0.3")
    tell(fabric, legs, SHOP, 3)
    assert not finds(fabric, "10.0.0.1")


def test_it_forwards_nothing_from_one_environment_to_another(fabric, legs):
    in_both(fabric, legs)
    where = Tools(fabric.host(ROUTER))
    where.run(("sysctl", "-qw", "net.ipv4.ip_forward=1"))
    inside = Tools(fabric.plugs[1].namespace)
    inside.ip(f"route add 10.0.0.2/32 via {GATE}")

    assert not fabric.reaches(1, 2)


@pytest.mark.parametrize(("port", "found"), [(53, True), (8080, False)])
def test_a_container_may_ask_it_for_names_and_nothing_else(fabric, legs, port, found):
    in_both(fabric, legs)
    words = ("ip", "netns", "exec", fabric.host(ROUTER), sys.executable, "-S", "-c", SERVES)
    asks = TRY.replace("9))", f"{port}))").replace(
        "    except", '        print("served")\n    except', 1
    )
    with subprocess.Popen((*words, str(port)), stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"open\n"
            inside = Tools(fabric.plugs[1].namespace)
            said = inside.run((sys.executable, "-S", "-c", asks, GATE)).strip()
        finally:
            server.kill()

    assert said == ("served" if found else "nobody")


def test_a_network_that_it_left_has_nothing_of_it(fabric, legs):
    in_both(fabric, legs)

    for _ in range(2):
        legs.leave(SHOP)

    assert legs.joined() == {BLOG}
    assert not finds(fabric, "10.0.0.1")
    assert finds(fabric, "10.0.0.2")
    shown = Tools(fabric.host(ROUTER)).run(("ip", "-br", "link", "show"))
    assert not any(f"{name}17" in shown for name in ("rg", "rp", "rb", "rv"))
    rules = Tools(fabric.host(ROUTER)).run(("nft", "list", "tables"))
    assert "restow-rp17" not in rules


def test_where_it_is_in_no_network_there_is_nobody_to_tell(fabric, legs):
    tell(fabric, legs, SHOP, 1)

    assert legs.joined() == frozenset()
