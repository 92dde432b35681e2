"""The certificate on the command line, from the journal alone: no engine and no reader runs."""

import pytest
from msgspec.structs import replace

from domain.certificate import Certificate
from domain.container import ContainerStopped
from domain.decider import Commit, Recorded
from domain.environment import CreateEnvironment, LayerSpec
from domain.facts import Fact
from domain.messages import Accepted, AskId, ContainerId, Instant
from domain.migration import MigrateContainer
from domain.operation import OperationRequested, RestartLayer, StepStarted
from domain.problems import Exit
from domain.subjects import Subjects
from handlers.bus import Address, Bus, flush
from handlers.journal.reader import Head
from handlers.journal.stream import ensure
from handlers.journal.writer import Writer
from restow.certificates import certificate_of
from restow.check import check
from restow.simulation.world import World

AT = Instant(1_800_000_000_000)


@pytest.fixture
def world() -> World:
    """Return a world in which a layer was created (op1), restarted (op2), one moved (mv1)."""
    world = World()
    world.hosts(4)
    layer = LayerSpec(name="app", count=3)
    world.ask(CreateEnvironment(environment="shop", layers=(layer,)))
    world.settle()
    world.ask(RestartLayer(environment="shop", layer="app", delay_s=0))
    world.settle()
    world.ask(MigrateContainer(container="node1"))
    world.settle()
    return world


@pytest.fixture
async def writer(bus: Bus, subjects: Subjects) -> Writer:
    await ensure(bus, subjects)
    return await Writer.take_over(bus, subjects, Head())


async def test_a_restart_is_certified(world, writer, restow):
    await writer.append(list(world.commits()))

    ended = await restow("op", "certificate", "op2")

    assert ended.code == 0
    assert "op2: restart of containers in shop/app, done" in ended.out
    assert "operable at least 2 of 3" in ended.out
    assert ended.out.endswith("holds, and its witness agrees\n")
    assert "POSITION" not in ended.out


async def test_the_timeline_is_shown_to_whoever_wants_it(world, writer, restow):
    await writer.append(list(world.commits()))
    ended = await restow("op", "certificate", "op2", "-o", "wide")
    assert ["POSITION", "OPERABLE", "OF"] in [line.split() for line in ended.out.splitlines()]


async def test_programs_get_the_same_certificate_each_time(world, writer, restow):
    await writer.append(list(world.commits()))

    first = (await restow("op", "certificate", "mv1", "-o", "json")).json
    again = (await restow("op", "certificate", "mv1", "-o", "json")).json

    assert first == again
    assert (first["holds"], first["wrong"]) == (True, [])
    one = first["certificate"]
    assert (one["kind"], one["container"], one["minimum"]) == ("migrate", "node1", 2)
    assert len(one["digest"]) == 64


async def test_what_has_no_story_is_not_found(world, writer, restow):
    await writer.append(list(world.commits()))
    ended = await restow("op", "certificate", "op99")
    assert ended.code == Exit.NOT_FOUND
    assert "operation.not_found" in ended.err


def unfinished(world: World) -> list[Commit[Fact]]:
    """Return the commits up to that which asked for the restart, which begins with it."""
    commits = list(world.commits())
    asked = [c for c in commits if any(is_op2(one.fact) for one in c.events)]
    return commits[: commits.index(asked[0]) + 1]


def is_op2(fact: Fact) -> bool:
    return isinstance(fact, OperationRequested) and fact.operation == "op2"


async def test_what_is_not_over_is_not_certified_yet(world, writer, restow):
    await writer.append(unfinished(world))
    ended = await restow("op", "certificate", "op2")
    assert ended.code == Exit.CONFLICT
    assert "op2 is not over" in ended.err


def broken(world: World) -> list[Commit[Fact]]:
    """Return a history that no saga would write: two are down, and the last one is restarted."""
    commits = list(world.commits())
    begins = next(
        number
        for number, commit in enumerate(commits)
        if any(isinstance(one.fact, StepStarted) and is_last(one.fact) for one in commit.events)
    )
    versions = {one.stream: one.version for c in commits[:begins] for one in c.events}
    names = [ContainerId("node1"), ContainerId("node2")]
    streams = [f"container.{name}" for name in names]
    down = tuple(
        Recorded[Fact](stream, versions[stream] + 1, ContainerStopped(name))
        for stream, name in zip(streams, names, strict=True)
    )
    forged = Commit(AskId("forged"), "nobody", "", AT, Accepted(), down)
    return [*commits[:begins], forged, *(shifted(one, streams) for one in commits[begins:])]


def is_last(fact: StepStarted) -> bool:
    return (fact.operation, fact.container) == ("op2", "node3")


def shifted(commit: Commit[Fact], streams: list[str]) -> Commit[Fact]:
    events = tuple(
        replace(one, version=one.version + (one.stream in streams)) for one in commit.events
    )
    return replace(commit, events=events)


async def test_one_that_does_not_hold_says_so_and_ends_with_9(world, writer, restow):
    await writer.append(broken(world))

    ended = await restow("op", "certificate", "op2")

    assert ended.code == Exit.DIFFERENT
    assert "NOT EXCUSED" in ended.out
    assert ended.out.endswith("DOES NOT HOLD\n")


async def test_verifying_finds_the_certificate_that_does_not_hold(world, writer, nats_url, prefix):
    await writer.append(broken(world))

    verdict = await check(Address(nats_url), prefix)

    assert (verdict.certificates, verdict.holding) == (3, 2)
    faults = [fault.what for fault in verdict.faults]
    assert any(what.startswith("certificate of op2: nothing of shop/app was") for what in faults)


async def test_verifying_certifies_whatever_is_over(world, writer, restow, nats_url, prefix):
    await writer.append(list(world.commits()))

    verdict = await check(Address(nats_url), prefix)
    ended = await restow("audit", "verify")

    assert verdict.good
    assert (verdict.certificates, verdict.holding) == (3, 3)
    assert "3 certificates of availability, 3 hold" in ended.out


async def test_a_damaged_journal_certifies_nothing(world, writer, bus, subjects, restow):
    await writer.append(unfinished(world))
    await bus.publish(subjects.frames, b"not a frame")
    await flush(bus)

    ended = await restow("op", "certificate", "op2")

    assert ended.code == Exit.DIFFERENT
    assert "is damaged at sequence" in ended.err


async def test_an_operation_that_was_over_long_ago_has_the_certificate_it_had(
    world, writer, nats_url, prefix
):
    commits = list(world.commits())
    end = next(
        number
        for number, commit in enumerate(commits, start=1)
        if any(getattr(one.fact, "operation", "") == "op2" for one in commit.events)
        and not any("op2" in str(one.fact) for c in commits[number:] for one in c.events)
    )
    await writer.append(commits[:end])
    first = await certificate_of(Address(nats_url), prefix, "op2")
    await writer.append(commits[end:])
    assert await certificate_of(Address(nats_url), prefix, "op2") == first
    assert isinstance(getattr(first, "certificate", None), Certificate)
