"""Orders leave when they stand in the journal, and not before."""

import asyncio

import msgspec
from msgspec.structs import replace

from domain.decider import Ask
from domain.environment import CreateEnvironment, LayerSpec
from domain.host import RegisterHost
from domain.messages import AskId, HostId, Instant
from domain.orders import Order, OrderIssued
from domain.region import Region
from domain.subjects import Subjects
from handlers.bus import Bus, flush
from handlers.engine.outbox import Outbox

NORTH = RegisterHost(host="north", memory_mib=1_024, cpu_mhz=4_000, disk_gib=10)
SHOP = CreateEnvironment(environment="shop", layers=(LayerSpec(name="app"),))
NOW = Instant(1_000)


async def test_an_order_that_is_decided_but_not_stored_is_sent_to_nobody(
    bus: Bus, subjects: Subjects
):
    heard = await bus.subscribe(subjects.orders("north"))
    region = Region()
    region.decide(Ask(AskId("1"), NORTH), NOW)
    outbox = Outbox(bus, subjects, region.fleet, epoch=3)
    commit = region.decide(Ask(AskId("2"), SHOP), NOW)
    again = asyncio.create_task(outbox.run())
    await outbox.all_for(HostId("north"))
    await asyncio.sleep(0.1)
    await flush(bus)
    assert len(region.fleet.orders) == 1
    assert heard.pending_msgs == 0

    await outbox.issued([commit])
    order = msgspec.json.decode((await heard.next_msg(timeout=2)).data, type=Order)
    again.cancel()
    assert (order.to, order.epoch) == ("north", 3)


async def test_what_the_engine_before_owed_is_sent_at_once_and_to_whoever_says_hello(
    bus: Bus, subjects: Subjects
):
    heard = await bus.subscribe(subjects.orders("north"))
    region = Region()
    region.decide(Ask(AskId("1"), NORTH), NOW)
    region.decide(Ask(AskId("2"), SHOP), NOW)
    outbox = Outbox(bus, subjects, region.fleet, epoch=4)
    again = asyncio.create_task(outbox.run())
    first = await heard.next_msg(timeout=2)
    await outbox.all_for(HostId("north"))
    second = await heard.next_msg(timeout=2)
    again.cancel()

    assert first.data == second.data


async def test_an_order_that_is_to_wait_is_sent_later(bus: Bus, subjects: Subjects):
    heard = await bus.subscribe(subjects.orders("north"))
    region = Region()
    region.decide(Ask(AskId("1"), NORTH), NOW)
    outbox = Outbox(bus, subjects, region.fleet, epoch=3)
    commit = region.decide(Ask(AskId("2"), SHOP), NOW)
    waits = tuple(
        replace(event, fact=replace(event.fact, after=Instant(NOW + 500)))
        if isinstance(event.fact, OrderIssued)
        else event
        for event in commit.events
    )
    await outbox.issued([replace(commit, events=waits)])
    await flush(bus)
    assert heard.pending_msgs == 0

    again = asyncio.create_task(outbox.run())
    await heard.next_msg(timeout=10)
    again.cancel()
