"""The journal replayed by nobody's word but its own."""

import asyncio

import msgspec
import pytest
from uuid_utils.compat import uuid7

from domain.container import ContainerPlaced, Placing
from domain.decider import Ask, Commit, Recorded
from domain.environment import EnvironmentCreated, LayerAdded, LayerSpec
from domain.facts import Fact
from domain.host import HostCordoned, RegisterHost
from domain.messages import (
    Accepted,
    AskId,
    ContainerId,
    EnvironmentId,
    HostId,
    Instant,
    LayerName,
)
from domain.problems import Exit
from domain.region import Region
from domain.subjects import Subjects
from handlers.bus import Address, Bus, flush
from handlers.journal.reader import Head
from handlers.journal.stream import ensure
from handlers.journal.writer import Writer
from restow.check import check

NOW = Instant(1_700_000_000_000)


def registered(region: Region, host: str) -> Commit[Fact]:
    command = RegisterHost(host=host, memory_mib=8_192, cpu_mhz=6_400, disk_gib=10)
    return region.decide(Ask(AskId(str(uuid7())), command), NOW)


@pytest.fixture
async def writer(bus: Bus, subjects: Subjects) -> Writer:
    await ensure(bus, subjects)
    return await Writer.take_over(bus, subjects, Head())


async def test_a_good_journal_is_good(writer, nats_url, prefix):
    region = Region()
    for number in range(1, 4):
        await writer.append([registered(region, f"h0{number}")])

    verdict = await check(Address(nats_url), prefix)

    assert verdict.good
    assert (verdict.frames, verdict.epochs, verdict.position, verdict.asks) == (4, 1, 3, 3)
    assert verdict.checks == 3 * verdict.invariants


async def test_an_empty_journal_is_good(writer, nats_url, prefix):
    assert (await check(Address(nats_url), prefix)).good


async def test_an_ask_that_was_answered_twice_is_found(writer, nats_url, prefix):
    commit = registered(Region(), "h01")
    again = msgspec.structs.replace(commit, events=())
    await writer.append([commit, again])

    verdict = await check(Address(nats_url), prefix)

    assert [fault.what for fault in verdict.faults] == [f"ask {commit.ask} was answered twice"]


async def test_a_version_that_does_not_follow_is_found(writer, nats_url, prefix):
    cordoned: Recorded[Fact] = Recorded("host.h01", 3, HostCordoned(HostId("h01")))
    await writer.append([registered(Region(), "h01"), forged(cordoned)])

    verdict = await check(Address(nats_url), prefix)

    (fault,) = verdict.faults
    assert fault.position == 1  # of the frame's first event: nothing of it counts
    assert "host.h01 goes from version 1 to 3, 2 was expected" in fault.what
    assert not verdict.good


async def test_a_broken_invariant_is_found_where_it_broke(writer, nats_url, prefix):
    """A host that promises more than it has; no decision would write this."""
    region = Region()
    place = region_with_a_container(region)
    await writer.append(place)

    verdict = await check(Address(nats_url), prefix)

    assert [fault.position for fault in verdict.faults][:1] == [place_position(place)]
    assert "has promised" in verdict.faults[0].what


def region_with_a_container(region: Region) -> list[Commit[Fact]]:
    """Return commits in which a container of 100 cloudlets is put on a host of 16."""
    shop, app, node, host = EnvironmentId("shop"), LayerName("app"), ContainerId("node1"), "h01"
    why = Placing("spread", 1, 1)
    facts: tuple[tuple[str, int, Fact], ...] = (
        ("environment.shop", 1, EnvironmentCreated(shop, "a.b")),
        ("environment.shop", 2, LayerAdded(shop, app, LayerSpec(name="app"))),
        (
            "container.node1",
            1,
            ContainerPlaced(node, shop, app, 1, HostId(host), 100, 100, 1, "n", "a", why),
        ),
    )
    return [registered(region, host), forged(*(Recorded(*fact) for fact in facts))]


def forged(*events: Recorded[Fact]) -> Commit[Fact]:
    return Commit(AskId("forged"), "nobody", "", NOW, Accepted(), events)


def place_position(commits: list[Commit[Fact]]) -> int:
    return sum(len(commit.events) for commit in commits)


async def test_a_frame_that_was_altered_ends_with_9_and_its_place(writer, bus, subjects, restow):
    region = Region()
    await writer.append([registered(region, "h01")])
    await bus.publish(subjects.frames, b"not a frame")
    await flush(bus)
    await asyncio.sleep(0.1)

    ended = await restow("audit", "verify")

    assert ended.code == Exit.DIFFERENT
    assert "is damaged at sequence 3 (position 2)" in ended.err
    assert "all is as it must be" not in ended.out


async def test_a_good_journal_ends_with_0_and_its_figures(writer, restow):
    await writer.append([registered(Region(), "h01")])

    ended = await restow("audit", "verify")

    assert ended.code == 0
    assert "replayed 2 frames of 1 epochs, 1 events" in ended.out
    assert ended.out.endswith("all is as it must be\n")


async def test_the_verdict_can_be_read_by_programs(writer, restow):
    await writer.append([registered(Region(), "h01")])
    verdict = (await restow("audit", "verify", "-o", "json")).json
    assert (verdict["position"], verdict["faults"]) == (1, [])
