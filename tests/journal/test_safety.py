"""A server that might lose what it acknowledged is refused, by the name of the setting."""

from pathlib import Path

import msgspec
import pytest

from domain.messages import Instant
from domain.subjects import Subjects
from handlers.bus import Bus, connect
from handlers.engine import process
from handlers.engine.clock import now
from handlers.journal import safety
from handlers.journal.safety import UnsafeServerError, on_time, verify
from handlers.journal.stream import ensure, info
from handlers.nats_server import Server, ServerOptions, start


async def test_our_own_server_is_safe(bus: Bus, nats_server: Server, subjects: Subjects):
    await ensure(bus, subjects)
    durability = await verify(bus, subjects, [nats_server.monitor])
    assert (durability.name, durability.reasons) == ("safe", ())


@pytest.mark.parametrize(("off_s", "where"), [(3_600, "ahead of"), (-86_400, "behind")])
async def test_an_engine_whose_clock_is_wrong_is_refused(
    bus: Bus, subjects: Subjects, off_s: int, where: str
):
    await ensure(bus, subjects)
    await on_time(bus, subjects, now())

    with pytest.raises(UnsafeServerError, match=rf" s {where} that of the NATS server.*NTP"):
        await on_time(bus, subjects, Instant(now() + off_s * 1_000))


async def test_a_server_that_syncs_later_is_refused(tmp_path: Path, subjects: Subjects):
    server = await start(ServerOptions(tmp_path, name="lazy", sync_always=False))
    try:
        bus = await connect(server.url, name="test")
        with pytest.raises(UnsafeServerError, match="server lazy: sync_interval is not `always`"):
            await verify(bus, subjects, [server.monitor])
        durability = await verify(bus, subjects, [server.monitor], relaxed=True)
        assert durability.name == "relaxed"
        assert "sync_interval" in durability.reasons[0]
        await bus.close()
    finally:
        server.stop()


async def test_what_cannot_be_verified_is_refused(bus: Bus, subjects: Subjects):
    with pytest.raises(UnsafeServerError, match=r"sync_interval .* --monitor .* --relaxed"):
        await verify(bus, subjects)
    assert (await verify(bus, subjects, relaxed=True)).name == "relaxed"


async def test_the_monitoring_of_another_server_proves_nothing(
    bus: Bus, subjects: Subjects, tmp_path: Path
):
    await ensure(bus, subjects)
    server = await start(ServerOptions(tmp_path, name="another"))
    try:
        with pytest.raises(UnsafeServerError, match="server restow: sync_interval cannot be ver"):
            await verify(bus, subjects, [server.monitor])
    finally:
        server.stop()


async def test_monitoring_that_does_not_answer_is_named(bus: Bus, subjects: Subjects):
    with pytest.raises(UnsafeServerError, match=r"monitoring at http://127\.0\.0\.1:1 did not"):
        await verify(bus, subjects, ["http://127.0.0.1:1"])


async def test_a_wrong_path_is_named(bus: Bus, nats_server: Server, subjects: Subjects):
    with pytest.raises(UnsafeServerError, match="404"):
        await verify(bus, subjects, [f"{nats_server.monitor}/nowhere"])


async def test_a_server_too_old_is_refused_even_if_relaxed(
    bus: Bus, nats_server: Server, subjects: Subjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(safety, "VERSION_MIN", (3, 0))
    with pytest.raises(UnsafeServerError, match=r"is too old: Restow needs 3\.0"):
        await verify(bus, subjects, [nats_server.monitor], relaxed=True)


async def test_a_server_with_a_small_max_payload_is_refused_even_if_relaxed(
    tmp_path: Path, subjects: Subjects
):
    server = await start(ServerOptions(tmp_path, max_payload=1024 * 1024 - 1))
    try:
        bus = await connect(server.url, name="test")
        with pytest.raises(UnsafeServerError, match=r"max_payload .* 1,048,575 .*: 1MB`"):
            await verify(bus, subjects, [server.monitor], relaxed=True)
        await bus.close()
    finally:
        server.stop()


async def test_an_engine_leaves_no_stream_on_a_server_that_does_not_suit(
    tmp_path: Path, subjects: Subjects
):
    server = await start(ServerOptions(tmp_path, max_payload=65_536))
    try:
        with pytest.raises(UnsafeServerError, match="max_payload"):
            await process.run(name="e1", url=server.url, prefix=subjects.prefix, relaxed=True)
        bus = await connect(server.url, name="test")
        assert await info(bus, subjects.stream("JNL")) is None
        await bus.close()
    finally:
        server.stop()


def test_a_durability_crosses_the_bus():
    relaxed = safety.Durability(("because",))
    assert msgspec.json.decode(msgspec.json.encode(relaxed), type=safety.Durability) == relaxed
