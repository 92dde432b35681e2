"""What an agent and the engine say to each other, and what they say again."""

import asyncio

import msgspec
import pytest

from domain.agent import Welcome
from domain.messages import HostId, Instant, OrderId
from domain.orders import (
    Order,
    ReportHealth,
    ReportOrder,
    Resize,
    Restart,
    RouteIn,
    RouteOut,
    Start,
    Stop,
)
from handlers.agent.behaviour import Behaviour
from handlers.agent.records import Records
from handlers.agent.zone import Zone
from handlers.bus import flush
from tests.agent.fleet import H1, START, WEB

ROUTER = HostId("routing")
NAMES = ("web.shop.internal", "web-1.shop.internal")


NONSENSE = [b"", b"{", b'{"id":1}', b"null", b'{"id":"\xff"}', b'{"x":' * 3_000]


async def replaced(fleet, host, **failures: float) -> None:
    await fleet.kill(host)
    await fleet.agent(host, Behaviour(speed=200.0, failures=failures))


async def test_a_start_is_answered_before_its_health_is_told(fleet):
    answer = await fleet.done("o1", H1, START)
    assert (answer.done, answer.running, answer.detail) == (True, True, "")
    await fleet.until(fleet.health)
    assert [type(report) for report in fleet.reports] == [ReportOrder, ReportHealth]
    assert fleet.health()[0].healthy


async def test_a_restart_is_told_healthy_again_and_nothing_else(fleet):
    await fleet.done("o1", H1, START)
    await fleet.until(fleet.health)
    await fleet.done("o2", H1, Restart())
    await fleet.until(lambda: len(fleet.health()) == 2)
    assert [report.healthy for report in fleet.health()] == [True, True]
    assert isinstance(fleet.reports[-2], ReportOrder)
    asks = [report.ask for report in fleet.health()]
    assert asks == ["h01/1/h1", "h01/1/h2"]


async def test_a_stopped_container_is_forgotten(fleet):
    await fleet.done("o1", H1, START)
    answer = await fleet.done("o2", H1, Stop())
    assert (answer.done, answer.running) == (True, False)
    assert fleet.truth.lives == {}
    assert (await fleet.done("o3", H1, Stop())).done


async def test_failures_say_what_still_runs(fleet):
    await fleet.done("o1", H1, START)
    await replaced(fleet, H1, restart=1.0, resize=1.0, stop=1.0)
    for name, work in [("o2", Restart()), ("o3", Resize(5, 9)), ("o4", Stop())]:
        answer = await fleet.done(name, H1, work)
        assert (answer.done, answer.running) == (False, True)
        assert "failed on h01" in answer.detail


async def test_a_failed_start_runs_nothing(fleet):
    await replaced(fleet, H1, start=1.0)
    answer = await fleet.done("o1", H1, START)
    assert (answer.done, answer.running) == (False, False)


async def test_a_container_that_dies_is_reported(fleet):
    await replaced(fleet, H1, crash=1.0)
    await fleet.done("o1", H1, START)
    await fleet.until(lambda: fleet.health() and not fleet.health()[-1].running)
    assert not fleet.health()[-1].healthy


async def test_a_report_is_told_until_it_is_acknowledged(fleet):
    fleet.deaf = True
    await fleet.order("o1", H1, START)
    await fleet.until(lambda: fleet.truth.hosts("running"))
    await fleet.kill(H1)
    assert fleet.reports == []
    fleet.deaf = False
    fleet.outstanding.clear()  # the engine does not even ask again
    await fleet.agent(H1)
    answer = await fleet.answer("o1")
    assert answer.done
    assert fleet.heard["o1/r"] == 1


async def test_a_report_refused_lets_the_next_one_pass(fleet, bus):
    refused = asyncio.Event()
    fleet.deaf = True

    async def picky(message) -> None:
        ask = msgspec.json.decode(message.data)["ask"]
        status = "refused" if ask == "o1/r" else "ok"
        if ask == "o2/r":
            refused.set()
        await message.respond(msgspec.json.encode({"status": status}))

    await bus.subscribe(fleet.subjects.reports(H1), cb=picky)
    await flush(bus)
    await fleet.order("o1", H1, START)
    await fleet.order("o2", H1, Restart())
    async with asyncio.timeout(10):
        await refused.wait()


async def test_an_order_heard_twice_is_done_once_and_told_again(fleet):
    await fleet.done("o1", H1, START)
    await fleet.until(fleet.health)
    await fleet.order("o2", H1, Restart())
    await fleet.order("o2", H1, Restart())
    await fleet.answer("o2")
    await fleet.order("o2", H1, Restart())
    await fleet.until(lambda: fleet.heard["o2/r"] == 2)
    assert fleet.truth.lives[H1, WEB].restarts == 1


async def test_an_order_of_an_old_epoch_is_not_answered(fleet):
    fleet.epoch = 5
    await fleet.until(lambda: any(hello.epoch == 5 for hello in fleet.hellos))
    await fleet.send(Order(OrderId("old"), H1, WEB, START, epoch=4))
    await fleet.done("o1", H1, START)
    assert fleet.answers("old") == []
    await replaced(fleet, H1)
    assert fleet.hellos[-1].epoch == 5  # remembered over the restart


async def test_an_expired_order_is_answered_not_done(fleet):
    order = Order(OrderId("late"), H1, WEB, START, expires=Instant(1), epoch=1)
    await fleet.send(order)
    answer = await fleet.answer("late")
    assert (answer.done, answer.detail) == (False, "expired")
    assert fleet.truth.lives == {}


async def test_an_order_lost_on_the_way_comes_with_the_next_hello(fleet):
    order = Order(OrderId("o1"), H1, WEB, START, epoch=1)
    fleet.outstanding[order.id] = order
    assert (await fleet.answer("o1")).done


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_is_ignored(fleet, nonsense):
    await fleet.bus.publish(fleet.subjects.orders(H1), nonsense)
    for verb in ("check", "go"):
        subject = fleet.subjects.peer(H1, verb)
        reply = msgspec.json.decode((await fleet.bus.request(subject, nonsense, timeout=5)).data)
        assert reply["ok"] is False
    assert (await fleet.done("o1", H1, START)).done


async def test_a_host_does_not_route_and_the_router_runs_nothing(fleet):
    routed = await fleet.done("o1", H1, RouteIn(NAMES, "10.0.0.1"))
    assert (routed.done, routed.detail) == (False, "h01 is no router")
    started = await fleet.done("o2", ROUTER, START)
    assert (started.done, started.detail) == (False, "the router runs no containers")


async def test_each_start_says_hello_as_a_new_incarnation(fleet):
    await replaced(fleet, H1)
    mine = [hello.incarnation for hello in fleet.hellos if hello.host == H1]
    assert sorted(set(mine)) == [1, 2]
    assert msgspec.json.encode(Welcome(3)) == b'{"epoch":3}'


async def test_usage_names_what_runs(fleet):
    await fleet.done("o1", H1, START)
    await fleet.until(lambda: any(usage.containers for usage in fleet.usages))
    usage = next(usage for usage in fleet.usages if usage.containers)
    sample = usage.containers[0]
    assert (usage.host, sample.container) == (H1, WEB)
    assert 0 < sample.memory_mib <= 4 * 128
    assert 0 <= sample.cpu_mhz <= 4 * 400


async def test_a_container_goes_on_and_is_not_started_again_when_its_agent_dies(fleet):
    await fleet.done("o1", H1, START)
    await fleet.until(fleet.health)
    before = fleet.truth.lives[H1, WEB]
    await fleet.kill(H1)
    await fleet.agent(H1)
    await fleet.order("o1", H1, Start("web-1", "nginx:1.29", 4, 8, 10, "10.0.0.1"))
    await fleet.until(lambda: fleet.heard["o1/r"] == 2)
    assert fleet.truth.lives[H1, WEB] == before


def zone(fleet) -> Zone:
    """Return the zone as it is on disk."""
    data = (fleet.data / ROUTER / "zone").read_bytes()
    copy = fleet.data / "copy"
    copy.write_bytes(data)
    file, records = Records.open(copy)
    file.close()
    return msgspec.msgpack.decode(records[-1], type=Zone)


async def test_a_container_is_routed_in_and_out(fleet):
    assert (await fleet.done("o1", ROUTER, RouteIn(NAMES, "10.0.0.1"))).done
    assert (await fleet.done("o2", ROUTER, RouteIn(NAMES[:1], "10.0.0.2"))).done
    assert zone(fleet).names[NAMES[0]].addresses == ("10.0.0.1", "10.0.0.2")
    assert zone(fleet).servers == ("10.0.0.1", "10.0.0.2")
    await replaced(fleet, ROUTER)
    assert (await fleet.done("o3", ROUTER, RouteOut(NAMES, "10.0.0.1"))).done
    assert {name: r.addresses for name, r in zone(fleet).names.items()} == {NAMES[0]: ("10.0.0.2",)}
    assert zone(fleet).servers == ("10.0.0.2",)
    assert (await fleet.done("o4", ROUTER, RouteOut(NAMES, "10.0.0.1"))).done


async def test_what_dns_does_not_confirm_is_not_done(fleet):
    await fleet.done("o1", ROUTER, RouteIn(NAMES, "10.0.0.1"))
    failing = {"route-out": 1.0}
    await replaced(fleet, ROUTER, **failing)
    answer = await fleet.done("o2", ROUTER, RouteOut(NAMES, "10.0.0.1"))
    assert not answer.done
    assert "route-out failed for web.shop.internal" in answer.detail
    assert zone(fleet).servers == ("10.0.0.1",)
