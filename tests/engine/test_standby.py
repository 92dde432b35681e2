"""How an engine comes to lead: from a checkpoint and the journal's tail, which are verified."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from domain.decider import Ask
from domain.environment import CreateEnvironment, LayerSpec
from domain.host import CordonHost, RegisterHost
from domain.image import SHAPE, to_image
from domain.messages import AskId, Instant
from domain.region import BrokenHistoryError, Region
from domain.subjects import Subjects
from domain.wire import COMMIT_BYTES_MAX
from handlers.bus import Bus, Message, connect, listen
from handlers.engine import keeper, process, standby
from handlers.engine.standby import Standby
from handlers.journal import checkpoints
from handlers.journal.reader import Head, JournalDamagedError
from handlers.journal.stream import ensure, ensure_stream
from handlers.journal.writer import Writer
from tests.engine.site import site

NORTH = RegisterHost(host="north", memory_mib=1_024, cpu_mhz=4_000, disk_gib=10)
NOW = Instant(1_000)


@pytest.fixture
async def writer(bus: Bus, subjects: Subjects):
    """A writer of a journal whose first frame registers a host."""
    await ensure(bus, subjects)
    writer = await Writer.take_over(bus, subjects, Head())
    yield writer
    await writer.close()


async def test_a_standby_reads_the_whole_journal(bus: Bus, subjects: Subjects, writer: Writer):
    region = Region()
    await writer.append([region.decide(Ask(AskId("1"), NORTH), NOW)])
    standby = Standby(bus, subjects, "e1")
    await standby.catch_up()

    assert "north" in standby.region.fleet.hosts
    assert standby.head == writer.head
    assert standby.region.answers.get(AskId("1")) is not None


async def test_a_standby_starts_from_the_checkpoint_and_reads_the_rest(
    bus: Bus, subjects: Subjects, writer: Writer
):
    region = Region()
    await writer.append([region.decide(Ask(AskId("1"), NORTH), NOW)])
    marked = region.decide(Ask(AskId("only in the checkpoint"), NORTH), NOW)
    assert marked.events == ()
    await checkpoints.save(bus, subjects, writer.head, to_image(region))
    await writer.append([region.decide(Ask(AskId("2"), CordonHost(host="north")), NOW)])
    standby = Standby(bus, subjects, "e1")
    await standby.catch_up()

    assert standby.region.answers.get(AskId("only in the checkpoint")) is not None
    assert standby.region.position == region.position


@pytest.mark.parametrize("image", [b"of another shape", SHAPE + b"torn"])
async def test_a_checkpoint_that_cannot_be_read_is_done_without(
    bus: Bus, subjects: Subjects, writer: Writer, image: bytes
):
    region = Region()
    await writer.append([region.decide(Ask(AskId("1"), NORTH), NOW)])
    await checkpoints.save(bus, subjects, writer.head, image)
    standby = Standby(bus, subjects, "e1")
    await standby.catch_up()

    assert standby.head == writer.head
    assert "north" in standby.region.fleet.hosts


async def test_a_history_with_a_gap_in_a_stream_stops_the_start_and_names_it(
    bus: Bus, subjects: Subjects, writer: Writer
):
    region = Region()
    await writer.append([region.decide(Ask(AskId("1"), NORTH), NOW)])
    later = RegisterHost(host="south", memory_mib=1_024, cpu_mhz=4_000, disk_gib=10)
    region.versions["host.south"] = 6
    await writer.append([region.decide(Ask(AskId("3"), later), NOW)])

    with pytest.raises(BrokenHistoryError, match=r"host\.south goes from version 0 to 7"):
        await Standby(bus, subjects, "e1").catch_up()


async def test_a_journal_shorter_than_the_checkpoint_stops_the_start(
    bus: Bus, subjects: Subjects, writer: Writer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("handlers.journal.reader.TAIL_PATIENCE_S", 0.1)
    region = Region()
    await writer.append([region.decide(Ask(AskId("1"), NORTH), NOW)])
    head = Head(writer.head.seq + 5, 9, b"x" * 32, 1, 1)
    await checkpoints.save(bus, subjects, head, to_image(region))

    with pytest.raises(JournalDamagedError):
        await Standby(bus, subjects, "e1").catch_up()


async def test_a_standby_keeps_checkpoints_as_the_journal_grows(
    nats_url: str, subjects: Subjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(process, "STANDBY_EVENTS", 3)
    monkeypatch.setattr(keeper, "LOOK_S", 0.1)
    async with site(nats_url, subjects, tmp_path) as place:
        await place.engine("e1")
        await place.done("host.register", **NORTH_BODY)
        await place.engine("e2")
        for number in range(4):
            await place.done("host.rate", host="north", load_mark=number + 1)
        async with asyncio.timeout(20):
            while await checkpoints.latest(place.bus, subjects) is None:
                await asyncio.sleep(0.1)


async def test_a_leader_without_a_standby_has_checkpoints_kept_and_starts_from_them(
    nats_url: str, subjects: Subjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(process, "LEADER_EVENTS", 3)
    monkeypatch.setattr(keeper, "LOOK_S", 0.1)
    async with site(nats_url, subjects, tmp_path) as place:
        await place.engine("e1")
        await place.done("host.register", **NORTH_BODY)
        for number in range(4):
            await place.done("host.rate", host="north", load_mark=number + 1)
        async with asyncio.timeout(20):
            while (kept := await checkpoints.latest(place.bus, subjects)) is None:
                await asyncio.sleep(0.1)
        again = Standby(place.bus, subjects, "again")
        await again.catch_up()

        assert kept[0].position >= 3
        assert again.region.position == (await place.region()).position


async def test_a_checkpoint_that_cannot_be_kept_stops_nobody(
    nats_url: str,
    subjects: Subjects,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(process, "LEADER_EVENTS", 1)
    monkeypatch.setattr(keeper, "LOOK_S", 0.1)
    async with site(nats_url, subjects, tmp_path) as place:
        await ensure_stream(place.bus, replace(checkpoints.bucket(subjects), storage="memory"))
        await place.engine("e1")
        await place.done("host.register", **NORTH_BODY)
        said = ""
        async with asyncio.timeout(20):
            while "checkpoint.failed" not in said:
                said += capfd.readouterr().out
                await asyncio.sleep(0.1)
        await place.done("host.rate", host="north", load_mark=1)


NORTH_BODY = {"host": "north", "memory_mib": 1_024, "cpu_mhz": 4_000, "disk_gib": 10}


def test_a_commit_too_large_for_the_bus_is_refused_and_leaves_no_trace():
    region = Region()
    for number in range(40):
        host = f"h{number}"
        big = RegisterHost(host=host, memory_mib=8_388_608, cpu_mhz=16_777_216, disk_gib=60_000)
        region.decide(Ask(AskId(host), big), NOW)
    commit = region.decide(Ask(AskId("huge"), huge_environment()), NOW)

    assert commit.answer == region.answers.get(AskId("huge")).answer  # type: ignore[union-attr]
    assert commit.events == ()
    assert f"{COMMIT_BYTES_MAX // 1_024} KiB" in str(commit.answer)
    assert not region.fleet.environments
    assert not region.fleet.containers


def huge_environment() -> CreateEnvironment:
    variables = {f"NAME_{n}": "x" * 1_900 for n in range(20)}
    layers = (LayerSpec(name="app", count=200, variables=variables),)
    return CreateEnvironment(environment="huge", layers=layers)


async def test_of_two_whose_turn_it_is_one_leads_and_the_other_stays_a_standby(
    bus: Bus, subjects: Subjects, writer: Writer
):
    region = Region()
    await writer.append([region.decide(Ask(AskId("1"), NORTH), NOW)])
    first, second = Standby(bus, subjects, "e1"), Standby(bus, subjects, "e2")
    await first.catch_up()
    await second.catch_up()
    leads = await first.take_over()
    assert leads is not None

    assert await second.take_over() is None
    assert second.head == leads.head
    await leads.close()


async def until_its_turn(bus: Bus, subjects: Subjects) -> asyncio.Task[None]:
    standby = Standby(bus, subjects, "e2")
    await standby.catch_up()
    return asyncio.create_task(standby.until_its_turn())


async def leading(url: str, subjects: Subjects) -> Bus:
    """Be there as a leader is."""
    leader = await connect(url, name="leader")

    async def hear(message: Message) -> None:
        await message.respond(b"")

    await listen(leader, subjects.here, hear)
    await leader.flush()
    return leader


async def test_a_leader_whose_connection_is_gone_is_not_waited_for(
    bus: Bus, nats_url: str, subjects: Subjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(standby, "SILENCE_S", 600.0)
    await ensure(bus, subjects)
    leader = await leading(nats_url, subjects)
    turn = await until_its_turn(bus, subjects)
    await asyncio.sleep(1)
    assert not turn.done()
    await leader.close()
    async with asyncio.timeout(20):
        await turn


async def test_where_no_leader_was_seen_its_silence_is_waited_for(
    bus: Bus, subjects: Subjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(standby, "SILENCE_S", 600.0)
    await ensure(bus, subjects)
    turn = await until_its_turn(bus, subjects)
    await asyncio.sleep(1.5)
    assert not turn.done()
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)


async def test_a_leader_that_comes_back_at_once_is_not_replaced(
    bus: Bus, nats_url: str, subjects: Subjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(standby, "SILENCE_S", 600.0)
    monkeypatch.setattr(standby, "GONE_S", 2.0)
    await ensure(bus, subjects)
    leader = await leading(nats_url, subjects)
    turn = await until_its_turn(bus, subjects)
    await asyncio.sleep(0.5)
    await leader.close()
    await asyncio.sleep(0.3)
    leader = await leading(nats_url, subjects)
    await asyncio.sleep(2.5)
    assert not turn.done()
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    await leader.close()
