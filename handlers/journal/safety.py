"""Whether the server keeps what it acknowledges: nobody may find out by a power cut.

By default a NATS server acknowledges first and writes to disk up to two minutes later. The setting
is the server's, not the stream's, and a client is not told; its monitoring port tells.
"""

import asyncio
import http.client
from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from domain.messages import Instant
from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.journal.stream import api, info

VERSION_MIN = (2, 11)
PAYLOAD_BYTES_MIN = 1024 * 1024
"""Frames, outcomes and answers are cut to pass this, which is what a server takes by default."""
CLOCKS_APART_MAX_S = 60.0
"""How much an engine's clock may differ from the server's when it starts."""
MONITOR_S = 5.0
"""How long a monitoring port may take to answer."""
HOW_TO_VERIFY = (
    "pass the monitoring address of every server with --monitor http://<host>:8222, "
    "or accept the risk with --relaxed"
)
HOW_TO_SYNC = (
    "set `sync_interval: always` in its jetstream block, or accept the risk with --relaxed"
)


class UnsafeServerError(RuntimeError):
    """The server may lose what it acknowledged; the message names the setting and the way on."""


class Durability(msgspec.Struct, frozen=True):
    """How safe what was acknowledged is. Without reasons it survives a power cut."""

    reasons: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return `safe` or `relaxed`, which is what statuses say."""
        return "relaxed" if self.reasons else "safe"


class _Store(msgspec.Struct, frozen=True):
    sync_always: bool = False


class _JetStream(msgspec.Struct, frozen=True):
    config: _Store | None = None


class Server(msgspec.Struct, frozen=True):
    """What a server says of itself."""

    server_name: str
    version: str
    jetstream: _JetStream = _JetStream()


class _Told(msgspec.Struct, frozen=True):
    ts: datetime


async def verify(
    bus: Bus, subjects: Subjects, monitors: Iterable[str] = (), *, relaxed: bool = False
) -> Durability:
    """Check that every server that keeps the journal writes before it acknowledges.

    `monitors` are addresses of monitoring ports. Raises `UnsafeServerError` unless `relaxed`,
    which lets it pass with the reasons in the returned value; but not what `suits` objects to.
    """
    suits(bus)
    servers = {server.server_name: server for server in await _servers(monitors)}
    reasons = tuple(_objections(servers, await _keepers(bus, subjects)))
    if reasons and not relaxed:
        raise UnsafeServerError("; ".join(reasons))
    return Durability(reasons)


def suits(bus: Bus) -> None:
    """Check what nobody can choose to do without: version and `max_payload` of the server.

    Raises `UnsafeServerError`.
    """
    version = bus.connected_server_version
    if (version.major, version.minor) < VERSION_MIN:
        needed = ".".join(map(str, VERSION_MIN))
        message = f"nats-server {version} is too old: Restow needs {needed} or later"
        raise UnsafeServerError(message)
    if bus.max_payload < PAYLOAD_BYTES_MIN:
        message = (
            f"max_payload of the server is {bus.max_payload:,} bytes, Restow needs"
            f" {PAYLOAD_BYTES_MIN:,}: set `max_payload: 1MB` in its configuration"
        )
        raise UnsafeServerError(message)


async def on_time(bus: Bus, subjects: Subjects, now: Instant) -> None:
    """Check that our clock agrees with that of the server that keeps the journal, more or less.

    The journal's time never goes back: an engine that is a day ahead would let every deadline wait
    for a day, whoever leads after it. Raises `UnsafeServerError`.
    """
    asked = await api(bus, f"STREAM.INFO.{subjects.stream('JNL')}")
    told = msgspec.json.decode(asked, type=_Told)
    ahead_s = now / 1_000 - told.ts.timestamp()
    if abs(ahead_s) > CLOCKS_APART_MAX_S:
        where = "ahead of" if ahead_s > 0 else "behind"
        message = (
            f"the clock of this machine is {abs(ahead_s):,.0f} s {where} that of the NATS server,"
            f" at most {CLOCKS_APART_MAX_S:.0f} s are allowed: set both right (NTP)"
        )
        raise UnsafeServerError(message)


def _objections(servers: dict[str, Server], keepers: Iterable[str]) -> Iterable[str]:
    for name, server in servers.items():
        if server.jetstream.config and not server.jetstream.config.sync_always:
            yield f"server {name}: sync_interval is not `always`: {HOW_TO_SYNC}"
    if not servers:
        yield f"sync_interval of the server cannot be verified: {HOW_TO_VERIFY}"
        return
    for name in keepers:
        if name not in servers or servers[name].jetstream.config is None:
            yield f"server {name}: sync_interval cannot be verified: {HOW_TO_VERIFY}"


async def _keepers(bus: Bus, subjects: Subjects) -> list[str]:
    """Return the names of the servers that keep the journal, as far as there is one already."""
    stream = await info(bus, subjects.stream("JNL"))
    if stream is None:
        return []
    peers = stream.cluster
    return [name for name in (peers.leader, *(peer.name for peer in peers.replicas)) if name]


async def _servers(monitors: Iterable[str]) -> list[Server]:
    """Return what the servers behind the monitoring addresses say of themselves."""
    return list(await asyncio.gather(*(asyncio.to_thread(_varz, url) for url in monitors)))


def _varz(url: str) -> Server:
    at = urlsplit(url)
    kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
    connection = kind(at.netloc, timeout=MONITOR_S)
    try:
        connection.request("GET", f"{at.path.rstrip('/')}/varz")
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            message = f"monitoring at {url}: {answer.status} {answer.reason}"
            raise UnsafeServerError(message)
        return msgspec.json.decode(answer.read(), type=Server)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        message = f"monitoring at {url} did not answer: {error}"
        raise UnsafeServerError(message) from error
    finally:
        connection.close()
