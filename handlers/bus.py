"""The way onto the bus: where it is, a connection that never gives up, and one typed question.

Every connection of Restow is made here, so that all of them reconnect for ever, say in the log
what happens to them, and never send what would make the server close them.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import (
    ConnectionClosedError,
    NoRespondersError,
    OutboundBufferLimitError,
)
from nats.errors import Error as NatsError
from typing_extensions import override

log = structlog.stdlib.get_logger(__name__)

Bus: TypeAlias = Client
"""A connection."""
Message: TypeAlias = Msg
"""A message as it arrives."""
Listening: TypeAlias = Subscription
"""An open ear."""

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes from outside: not only its own errors."""

URL_DEFAULT = "nats://127.0.0.1:4222"
CONNECT_S = 10.0
"""How long the first connection is tried before `BusUnavailableError`."""
ATTEMPT_S = 2
RECONNECT_WAIT_S = 0.1
LOOK_UP_S = 0.1
"""How often somebody who waits looks whether the connection is still the same."""
PING_INTERVAL_S = 10
PINGS_LOST_MAX = 2
SAME_ERROR_S = 10.0
"""How often an error that goes on is said again: a bus that is away gives ten a second."""
KINDS_MAX = 100
"""How many different errors are remembered as said, and how many names of headers as read."""
HEADER_START = len(b"NATS/1.0\r\n") + len(b"\r\n")
HEADER_SEPARATORS = len(b": ") + len(b"\r\n")


class BusUnavailableError(RuntimeError):
    """The bus did not answer within the time given. What was asked may have happened or not."""


class BusClosedError(BusUnavailableError):
    """The connection is closed for good, by us or by a protocol error. Asking again is no use."""


class BusAddressError(ValueError):
    """What was said about where the bus is cannot be used; the message names it."""


class Address(msgspec.Struct, frozen=True, rename={"servers": "url"}):
    """Where the bus is and who we are there: the part of a NATS context that Restow knows.

    `servers` may name several, separated by commas.
    """

    servers: str = URL_DEFAULT
    user: str = ""
    password: str = ""
    token: str = ""
    creds: str = ""
    nkey: str = ""
    inbox_prefix: str = ""


def find_address(given: str = "") -> Address | None:
    """Return where the bus is: as given, else `NATS_URL`, else a NATS context, else None.

    The context is the one named by `NATS_CONTEXT`, else the one that `nats context select` chose.
    Raises `BusAddressError` if a context is named that cannot be read.
    """
    if url := given or os.environ.get("NATS_URL", ""):
        return Address(url)
    contexts = _config_home() / "nats"
    name = os.environ.get("NATS_CONTEXT", "") or _selected(contexts)
    return read_context(contexts / "context" / f"{name}.json") if name else None


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _selected(contexts: Path) -> str:
    try:
        return (contexts / "context.txt").read_text().strip()
    except FileNotFoundError:
        return ""


def read_context(path: Path) -> Address:
    """Read a NATS context. Raises `BusAddressError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Address)
    except (OSError, msgspec.DecodeError) as error:
        message = f"NATS context {path.stem!r} ({path}): {error}"
        raise BusAddressError(message) from error


async def close(bus: Bus) -> None:
    """Close a connection, whatever state it is in."""
    with contextlib.suppress(OSError, NatsError):  # the other side may have been faster
        await bus.close()


def as_address(address: Address | str) -> Address:
    """Return where the bus is, from its URL alone if that is all there is."""
    return Address(address) if isinstance(address, str) else address


async def connect(address: Address | str, *, name: str, within_s: float = CONNECT_S) -> Bus:
    """Connect, under a name that operators see. Raises `BusUnavailableError`."""
    at = as_address(address)
    bus = _Client()
    try:
        async with asyncio.timeout(within_s):
            await _connect(bus, at, name)
    except (TimeoutError, OSError, NatsError) as error:
        await close(bus)
        message = f"no connection to {at.servers} within {within_s:g} s: {error!r}"
        raise BusUnavailableError(message) from error
    return bus


class _Client(Client):
    """nats-py's client, but one that goes on reading after what nobody can read.

    Of headers or a subject that are no text it makes an exception that ends its reading: one
    message of anybody, and the connection is deaf until it has missed its pings.
    """

    @staticmethod
    @override
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        return headers_of(raw)

    @override
    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)  # pyright: ignore[reportUnknownMemberType] -- untyped there
        except (IndexError, UnicodeDecodeError) as error:
            await self._error_cb(error)
            return None

    @override
    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Message:
        try:
            message: Message = super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            asked, answer = (said.decode(errors="replace").encode() for said in (subject, reply))
            message = super()._build_message(sid, asked, answer, data, headers)
        return message


def headers_of(raw: bytes) -> dict[str, str]:
    """Read headers as nats-py does, but each name only once: it looks at every character."""
    found: dict[str, str] = {}
    for line in raw.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        key = _header_name(name) if colon else None
        if key is not None:
            found[key] = value.strip().decode("utf-8", "replace")
    return found


@lru_cache(KINDS_MAX)
def _header_name(said: bytes) -> str | None:
    """Return what a header is called; None for what is no name."""
    try:
        name = said.strip().decode("ascii")
    except UnicodeDecodeError:
        return None
    return None if any(map(str.isspace, name)) else name


class Repeats:
    """Says which of many errors are worth a line: the first of its kind, then one now and then."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self._times: dict[str, int] = {}

    def due(self, what: str, now_s: float) -> int:
        """Return how often this came since it was last said; 0 if it need not be said now."""
        if len(self._times) >= KINDS_MAX:
            self.forget()
        self._times[what] = self._times.get(what, 0) + 1
        if now_s - self._said.get(what, -SAME_ERROR_S) < SAME_ERROR_S:
            return 0
        self._said[what] = now_s
        return self._times.pop(what)

    def forget(self) -> None:
        """All is well again: whatever comes next is news."""
        self._said.clear()
        self._times.clear()


async def _connect(bus: Bus, at: Address, name: str) -> None:
    said = log.bind(connection=name)

    errors = Repeats()

    async def on_error(error: Exception) -> None:
        if times := errors.due(repr(error), time.monotonic()):
            await said.awarning("bus.error", error=repr(error), times=times)

    async def on_lost() -> None:
        if not bus.is_closed:
            await said.awarning("bus.disconnected")

    async def on_back() -> None:
        errors.forget()
        server = bus.connected_url
        await said.ainfo("bus.reconnected", server=server.netloc if server else "")

    async def on_closed() -> None:
        await said.ainfo("bus.closed")

    await bus.connect(
        servers=[server.strip() for server in at.servers.split(",")],
        name=name,
        error_cb=on_error,
        disconnected_cb=on_lost,
        reconnected_cb=on_back,
        closed_cb=on_closed,
        connect_timeout=ATTEMPT_S,
        reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # a float will do
        max_reconnect_attempts=-1,
        ping_interval=PING_INTERVAL_S,
        max_outstanding_pings=PINGS_LOST_MAX,
        **_who(at),
    )


def _who(at: Address) -> dict[str, Any]:
    """Return what nats-py wants to be told about us, and no more."""
    names = {"user_credentials": at.creds, "nkeys_seed": at.nkey, "inbox_prefix": at.inbox_prefix}
    names |= {"user": at.user, "password": at.password, "token": at.token}
    return {name: value for name, value in names.items() if value}


async def listen(bus: Bus, subject: str, hear: Callable[[Message], Awaitable[None]]) -> Listening:
    """Call `hear` with every message of a subject, one after the other, however many wait.

    For answers to what we asked: how many may wait is bounded by what was asked. `unsubscribe`
    the returned value when done.
    """
    return await bus.subscribe(  # pyright: ignore[reportUnknownMemberType] -- of `future=`
        subject, cb=hear, pending_msgs_limit=0, pending_bytes_limit=0
    )


def connections(bus: Bus) -> int:
    """Return how often the connection was made anew, for `arrival`."""
    return bus.stats["reconnects"]


async def arrival(
    bus: Bus, messages: asyncio.Queue[Message], since: int, within_s: float
) -> Message | None:
    """Return the next message to come, None if there is none in time.

    Also None if the connection was made anew `since` then (see `connections`): what was asked
    on the old one is not going to be answered.
    """
    give_up = time.monotonic() + within_s
    while messages.empty() and (left := give_up - time.monotonic()) > 0:
        if connections(bus) != since:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(left, LOOK_UP_S)):
                return await messages.get()
    return None if messages.empty() else messages.get_nowait()


async def silence(bus: Bus, listening: Listening) -> None:
    """Stop listening, if the connection still stands."""
    if not bus.is_closed:
        await listening.unsubscribe()


def size(payload: bytes, headers: Mapping[str, str] | None = None) -> int:
    """Return how many bytes a message takes of `max_payload`, which counts headers too."""
    if not headers:
        return len(payload)
    lines = sum(len(k) + len(v) + HEADER_SEPARATORS for k, v in headers.items())
    return len(payload) + HEADER_START + lines


def fits(bus: Bus, payload: bytes, headers: Mapping[str, str] | None = None) -> bool:
    """Tell whether the server takes a message of this size.

    Ask before sending: a message too large makes the server close the connection for good.
    """
    return size(payload, headers) <= bus.max_payload


async def send(
    bus: Bus, subject: str, payload: bytes, reply: str = "", headers: dict[str, str] | None = None
) -> None:
    """Publish. Raises `BusUnavailableError` if the message does not even leave.

    While the connection is being made anew, nats-py keeps messages (2 MiB of them) and sends them
    later.
    """
    try:
        await bus.publish(subject, payload, reply, headers)
    except OutboundBufferLimitError as error:
        message = f"{subject}: disconnected, and too much is waiting already"
        raise BusUnavailableError(message) from error
    except ConnectionClosedError as error:
        raise BusClosedError(subject) from error


def heed_cancellation() -> None:
    """Be cancelled after all: `asyncio.wait_for` of Python 3.11 loses it to an answer.

    nats-py waits with it; call this after its `request`.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def flush(bus: Bus) -> None:
    """Return when the server has taken in all that was sent before.

    nats-py's own sends its ping ahead of what waits to be sent, and may be back before that is
    there; its second ping is not. Raises what nats-py raises.
    """
    for _ in range(2):
        await bus.flush()
        heed_cancellation()


async def request(
    bus: Bus,
    subject: str,
    payload: bytes = b"",
    *,
    within_s: float = ATTEMPT_S,
    headers: dict[str, str] | None = None,
) -> bytes:
    """Ask once and return the answer's bytes.

    Raises `BusUnavailableError`, also if nobody is there.
    """
    try:
        answer = await bus.request(subject, payload, timeout=within_s, headers=headers)
    except (TimeoutError, NoRespondersError, OutboundBufferLimitError) as error:
        heed_cancellation()
        message = f"{subject}: {type(error).__name__}"
        raise BusUnavailableError(message) from error
    except ConnectionClosedError as error:
        raise BusClosedError(subject) from error
    heed_cancellation()
    return answer.data


async def answers(bus: Bus, subject: str, within_s: float) -> bool | None:
    """Say whether somebody answers; False only where the server knows that nobody listens."""
    try:
        await bus.request(subject, b"", timeout=within_s)
        there: bool | None = True
    except NoRespondersError:
        there = False
    except (TimeoutError, OutboundBufferLimitError, ConnectionClosedError):
        there = None
    heed_cancellation()
    return there
