"""Servers come, drain and go in a real HAProxy while clients are served; restarts forget none."""

import asyncio
import contextlib

import pytest
from msgspec.structs import replace

from handlers.agent.router import RoutingFailedError
from handlers.agent.routes import Route
from handlers.traffic.balancer import HaproxyBalancer
from handlers.traffic.haproxy import Runtime
from tests.traffic.servers import EXTERNAL, Proxy, Web, answering, free_port, get, until

LAYER = "app.shop.restow.internal"
OUTSIDE = "app.shop.apps.example"


def route(number: int, port: int, *, stateful: bool = False) -> Route:
    names = (f"node{number}-shop.restow.internal", LAYER)
    return Route(names, f"127.0.0.{number}", (port,), stateful)


@pytest.fixture
async def webs():
    """Two containers, on addresses of their own and one port."""
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Web(f"node{n}", f"127.0.0.{n}", port).serving())
            for n in (2, 3)
        ]


@pytest.fixture
async def balancer(proxy, routes):
    made = HaproxyBalancer(proxy.settings, routes, EXTERNAL)
    proxy.start()
    await until(lambda: answering(proxy), "HAProxy does not answer")
    return made


async def put(balancer, routes, *those):
    for one in those:
        routes.come(one)
        await balancer.put(one)
        routes.stay(one.address)


async def drain(balancer, routes, one):
    cut = await balancer.drain(routes.leave(one))
    routes.drop(one.address)
    return cut


def both(webs, *, stateful: bool = False) -> list[Route]:
    return [route(n, web.port, stateful=stateful) for n, web in zip((2, 3), webs, strict=True)]


async def asked(proxy, times: int = 8, host: str = LAYER) -> set[tuple[int, str]]:
    return {await get(proxy.http, host) for _ in range(times)}


async def test_a_layer_is_served_under_its_names_inside_and_outside(proxy, balancer, routes, webs):
    two, three = both(webs)
    await put(balancer, routes, two, three)

    assert await asked(proxy) == {(200, "node2"), (200, "node3")}
    assert await asked(proxy, host=f"{OUTSIDE.upper()}:80") == {(200, "node2"), (200, "node3")}
    assert {status for status, _ in await asked(proxy, host="else.where")} == {503}
    assert await balancer.serves(two)


async def test_a_reload_for_another_layer_forgets_nobody_who_is_on_the_way_in(
    proxy, balancer, routes, webs
):
    late = Route(("node9-shop.restow.internal", "late.shop.restow.internal"), "127.0.0.9", (9_999,))
    routes.come(late)
    coming = asyncio.create_task(balancer.put(late))
    await until(lambda: added(proxy, "late"), "its server is not there yet")
    other = asyncio.create_task(put(balancer, routes, *both(webs, stateful=True)))
    await until(lambda: opened(proxy, LAYER), "it is not reloaded")
    async with Web("late", "127.0.0.9", 9_999).serving():
        await coming
        routes.stay(late.address)
        await other

        assert await asked(proxy, host="late.shop.restow.internal") == {(200, "late")}
        assert await balancer.serves(late)


async def opened(proxy, name) -> bool:
    return any(one.startswith(name) for one in await Runtime(proxy.master).proxies())


async def added(proxy, name) -> bool:
    return any(backend.startswith(name) for backend, _ in await Runtime(proxy.master).servers())


async def test_what_is_drained_gets_nothing_new_and_ends_what_it_serves(
    proxy, balancer, routes, webs
):
    two, three = both(webs)
    await put(balancer, routes, two)
    slow = asyncio.create_task(get(proxy.http, LAYER, "/slow"))
    await until(lambda: slow_begun(balancer, two))
    await put(balancer, routes, three)

    cut = await drain(balancer, routes, two)

    assert (cut, slow.done()) == (0, True)
    assert await slow == (200, "node2")
    assert await asked(proxy) == {(200, "node3")}
    assert not await balancer.serves(replace(two, standing="leaving"))
    assert await drain(balancer, routes, two) == 0


async def slow_begun(balancer, one):
    return await balancer._sessions(one) > 0  # noqa: SLF001 - what it waits for


async def test_sessions_that_do_not_end_are_cut_and_counted(proxy, balancer, routes, webs):
    two, three = both(webs, stateful=True)
    await put(balancer, routes, two)
    front = balancer.ports()[f"{LAYER}:{webs[0].port}"]
    streams = [await asyncio.open_connection("127.0.0.1", front) for _ in range(3)]
    for reader, writer in streams:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"node2")
    await put(balancer, routes, three)

    cut = await drain(balancer, routes, two)

    assert cut == 3
    for reader, writer in streams:
        assert await reader.read() == b""
        writer.close()


async def test_sessions_of_the_process_before_a_reload_are_counted_too(
    proxy, balancer, routes, webs
):
    two, _ = both(webs, stateful=True)
    await put(balancer, routes, two)
    front = balancer.ports()[f"{LAYER}:{webs[0].port}"]
    reader, writer = await asyncio.open_connection("127.0.0.1", front)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"node2")
    other = Route(
        ("node9-blog.restow.internal", "app.blog.restow.internal"), "127.0.0.3", two.ports
    )
    await put(balancer, routes, other)

    assert await drain(balancer, routes, two) == 1
    assert await reader.read() == b""
    writer.close()
    assert (await get(proxy.http, "app.blog.restow.internal"))[1] == "node3"
    assert balancer.ports()[f"{LAYER}:{webs[0].port}"] == front


async def test_who_does_not_answer_is_not_given_work(proxy, balancer, routes, webs):
    two, _ = both(webs)
    dead = route(9, two.ports[0])
    await put(balancer, routes, two)
    routes.come(dead)

    with pytest.raises(RoutingFailedError, match=r"nobody answers the balancer at 127.0.0.9:"):
        await balancer.put(dead)
    assert await asked(proxy) == {(200, "node2")}


async def test_a_restart_of_haproxy_forgets_nothing(proxy, balancer, routes, webs):
    two, three = both(webs)
    await put(balancer, routes, two, three)
    await drain(balancer, routes, two)

    proxy.kill()
    with pytest.raises(RoutingFailedError, match="HAProxy cannot be told anything"):
        await balancer.serves(three)
    proxy.start()
    await until(lambda: answering(proxy))

    assert await asked(proxy) == {(200, "node3")}
    assert await balancer.serves(three)
    assert await balancer.mend() == ()


async def test_a_restart_of_the_router_forgets_nothing_and_mends_what_was_changed(
    proxy, balancer, routes, webs
):
    two, three = both(webs)
    await put(balancer, routes, two, three)
    runtime = Runtime(proxy.master)
    backend = f"{LAYER}:{two.ports[0]}"
    await runtime.tell(f"set server {backend}/node2-shop state maint")
    await runtime.tell(f"del server {backend}/node2-shop")
    await runtime.tell(f"add server {backend}/stranger 127.0.0.1:9")

    mended = await HaproxyBalancer(proxy.settings, routes, EXTERNAL).mend()

    assert {*mended} == {
        f"HAProxy sends work to {backend}/node2-shop again",
        f"HAProxy sends work to {backend}/stranger no more",
    }
    assert await asked(proxy) == {(200, "node2"), (200, "node3")}


async def test_without_ports_there_is_nothing_to_balance(tmp_path, routes):
    nowhere = HaproxyBalancer(Proxy(tmp_path).settings, routes)
    silent = replace(route(2, 1), ports=())

    await nowhere.put(silent)
    assert await nowhere.serves(silent)
    assert await nowhere.drain(silent) == 0
