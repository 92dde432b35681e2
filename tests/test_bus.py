"""Where the bus is, and what a connection promises."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.errors import NoRespondersError

from handlers import bus as on_bus
from handlers.bus import (
    Address,
    Bus,
    BusAddressError,
    BusUnavailableError,
    Message,
    Repeats,
    answers,
    close,
    connect,
    find_address,
    fits,
    flush,
    headers_of,
    request,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a configuration folder of its own for each test."""
    for name in ("NATS_URL", "NATS_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "nats" / "context").mkdir(parents=True)
    return tmp_path / "nats"


def context(home: Path, name: str, **fields: str) -> None:
    (home / "context" / f"{name}.json").write_text(json.dumps(fields))


def test_nothing_said_is_nowhere():
    assert find_address() is None


def test_what_is_given_goes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NATS_URL", "nats://environment:4222")
    assert find_address("nats://given:4222") == Address("nats://given:4222")
    assert find_address() == Address("nats://environment:4222")


def test_a_context_is_named(home: Path, monkeypatch: pytest.MonkeyPatch):
    context(home, "prod", url="nats://a:4222,nats://b:4222", creds="/prod.creds", description="x")
    monkeypatch.setenv("NATS_CONTEXT", "prod")
    assert find_address() == Address("nats://a:4222,nats://b:4222", creds="/prod.creds")


def test_the_selected_context_is_used(home: Path):
    context(home, "lab", url="nats://lab:4222", user="me", password="secret")  # noqa: S106
    (home / "context.txt").write_text("lab\n")
    assert find_address() == Address("nats://lab:4222", user="me", password="secret")  # noqa: S106


@pytest.mark.parametrize("written", [None, "{", '{"url": 1}'])
def test_a_context_that_cannot_be_read_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, written: str | None
):
    monkeypatch.setenv("NATS_CONTEXT", "broken")
    if written is not None:
        (home / "context" / "broken.json").write_text(written)
    with pytest.raises(BusAddressError, match="NATS context 'broken'"):
        find_address()


async def test_nobody_there_is_said_in_time():
    with pytest.raises(BusUnavailableError, match=r"no connection to nats://127\.0\.0\.1:1 within"):
        await connect("nats://127.0.0.1:1", name="test", within_s=0.3)


async def test_nobody_answering_is_said(bus: Bus, prefix: str):
    with pytest.raises(BusUnavailableError, match="NoResponders"):
        await request(bus, f"{prefix}.nobody")


async def test_the_largest_message_that_fits_passes_and_no_larger_one_fits(bus: Bus, prefix: str):
    headers = {"Nats-Msg-Id": "1", "Another": "header"}
    room = bus.max_payload - on_bus.size(b"", headers)
    assert fits(bus, b"x" * room, headers)
    assert not fits(bus, b"x" * (room + 1), headers)
    heard = await bus.subscribe(prefix)
    await bus.publish(prefix, b"x" * room, headers=headers)
    assert len((await heard.next_msg(5)).data) == room
    assert bus.is_connected


def test_an_error_that_goes_on_is_said_once_and_then_now_and_then_with_how_often():
    errors = Repeats()
    said = [errors.due("refused", tick / 10) for tick in range(250)]
    assert [(tick, times) for tick, times in enumerate(said) if times] == [
        (0, 1),
        (100, 100),
        (200, 100),
    ]
    assert errors.due("something else", 25.0) == 1
    errors.forget()
    assert errors.due("refused", 25.1) == 1


@pytest.mark.parametrize("ask", [answers, request])
async def test_who_is_cancelled_while_nobody_answers_ends(nats_url, monkeypatch, ask):
    """Python 3.11's `wait_for` loses a cancellation to an answer that comes at the same moment."""
    bus = await connect(nats_url, name="test")

    async def losing(*_: object, **__: object) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        raise NoRespondersError

    monkeypatch.setattr(bus, "request", losing)

    async def for_ever() -> None:
        while True:
            with contextlib.suppress(BusUnavailableError):
                await ask(bus, "nobody", within_s=1.0)

    asking = asyncio.create_task(for_ever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([asking])
    assert asking.cancelled()
    await bus.close()


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        (b"a", b"NATS/1.0"),
        (b"a", b"X"),
        (b"a", b"NATS/1.0 \xff\xff\xff\r\n\r\n"),
        (b"a", b"NATS/1.0 503 \xff\r\n\r\n"),
        (b"\xff", b"NATS/1.0\r\nA: b\r\n\r\n"),
    ],
)
async def test_what_nobody_can_read_leaves_the_connection_listening(
    bus: Bus, nats_url: str, prefix: str, subject: bytes, headers: bytes
):
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(message: Message) -> None:
        heard.put_nowait(message.data)

    await bus.subscribe(f"{prefix}.*", cb=hear)
    await flush(bus)
    host, _, port = nats_url.removeprefix("nats://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    where = prefix.encode() + b"." + subject
    sizes = b"%d %d" % (len(headers), len(headers) + 3)
    writer.write(
        b'CONNECT {"verbose":false,"headers":true}\r\n'
        b"HPUB %b %b\r\n%bodd\r\nPUB %b 4\r\nnext\r\n" % (where, sizes, headers, where)
    )
    await writer.drain()

    async with asyncio.timeout(5):
        assert [await heard.get(), await heard.get()] == [b"odd", b"next"]
    writer.close()
    await writer.wait_closed()


async def test_what_was_sent_before_is_there_after_a_flush(nats_url: str, prefix: str):
    """A tap writes down what a connection says: its last ping comes after all it was to say."""
    said = bytearray()
    host, _, port = nats_url.removeprefix("nats://").partition(":")

    async def tap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection(host, int(port))
        answering = asyncio.create_task(carry(there, writer, bytearray()))
        await carry(reader, out, said)
        answering.cancel()
        out.close()
        writer.close()

    async with await asyncio.start_server(tap, "127.0.0.1") as server:
        where = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        connection = await connect(where, name="test")
        await connection.subscribe(prefix)
        await flush(connection)
        lines = bytes(said).split(b"\r\n")
        await close(connection)

    pings = [number for number, line in enumerate(lines) if line == b"PING"]
    (subscribed,) = [number for number, line in enumerate(lines) if line.startswith(b"SUB")]
    assert pings[-1] > subscribed


async def carry(here: asyncio.StreamReader, there: asyncio.StreamWriter, said: bytearray) -> None:
    while data := await here.read(65_536):
        said += data
        there.write(data)


PIECES = (b"Name", b" ", b"\t", b":", b"\r\n", b"\x1c", b"\xc3\xa4", b"\xff", b"value", b"a b")


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_headers_are_read_as_the_library_reads_them(raw: bytes):
    assert headers_of(raw) == Client._parse_header_lines(raw)  # noqa: SLF001 - the model
