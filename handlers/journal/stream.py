"""The streams of a region: made as they must be, and refused if somebody made them otherwise.

JNL is the journal and never loses anything; CMD holds commands until they are taken, RES the
answers to them, EVT the public events, USE the usage samples of the last hour.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Literal

import msgspec
import stamina

from domain.messages import REMEMBER_MS
from domain.subjects import Subjects
from handlers import bus as on_bus
from handlers.bus import Bus, BusClosedError, BusUnavailableError

Nanoseconds = int

MS = 1_000_000
"""Nanoseconds in a millisecond; JetStream counts nanoseconds."""
SECOND = 1_000 * MS
DUPLICATE_WINDOW: Nanoseconds = 120 * SECOND
KEPT_MAX = 2_000_000
"""Commands in the stream CMD; one more is not acknowledged, and its publisher is told so."""
KEPT_A_SUBJECT_MAX = 200_000
"""Commands of one name of one tenant in the stream CMD, likewise."""
USAGE_AGE: Nanoseconds = 3_600 * SECOND
USAGE_BYTES_MAX = 256 * 1024 * 1024
API_PATIENCE_S = 30.0
"""How long a question to JetStream is repeated while nobody answers, as during an election."""

NO_STREAM = 10059
NO_MESSAGE = 10037
NAME_IN_USE = 10058
UNAVAILABLE = 503


class ApiError(msgspec.Struct, frozen=True):
    """Why JetStream said no."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class JetStreamError(RuntimeError):
    """JetStream refused what should have been possible."""

    def __init__(self, endpoint: str, error: ApiError) -> None:
        super().__init__(f"{endpoint}: {error.description} ({error.err_code})")
        self.error = error


class UnsafeStreamError(RuntimeError):
    """A stream is there with a setting that could lose what was acknowledged."""


class StreamConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What Restow wants of a stream, or minds if it is set. Names and defaults are the server's."""

    name: str
    subjects: tuple[str, ...] = ()
    retention: str = "limits"
    storage: str = ""
    discard: str = "old"
    num_replicas: int = 1
    max_age: Nanoseconds = 0
    max_bytes: int = -1
    max_msgs: int = -1
    max_msgs_per_subject: int = -1
    discard_new_per_subject: bool = False
    duplicate_window: Nanoseconds = 0
    deny_delete: bool = False
    deny_purge: bool = False
    allow_direct: bool = False
    allow_rollup_hdrs: bool = False
    allow_msg_ttl: bool = False
    allow_msg_schedules: bool = False
    persist_mode: Literal["", "default", "async"] = ""
    sources: tuple[object, ...] = ()
    mirror: object = None


class StreamState(msgspec.Struct, frozen=True):
    """How far a stream has come."""

    messages: int = 0
    first_seq: int = 0
    last_seq: int = 0


class Peer(msgspec.Struct, frozen=True):
    name: str


class StreamPeers(msgspec.Struct, frozen=True):
    """The servers that keep a stream."""

    leader: str = ""
    replicas: tuple[Peer, ...] = ()


class StreamInfo(msgspec.Struct, frozen=True):
    """A stream as its leader sees it."""

    config: StreamConfig
    state: StreamState
    cluster: StreamPeers = StreamPeers()


class Stored(msgspec.Struct, frozen=True):
    """A message as it stands in a stream. Its leader was asked, so this is not a stale copy."""

    seq: int
    subject: str
    data: bytes = b""
    hdrs: bytes = b""

    def header(self, name: str) -> str:
        """Return the value of a header, "" if it has none."""
        for line in self.hdrs.decode().split("\r\n"):
            key, _, value = line.partition(":")
            if key == name:
                return value.strip()
        return ""


class _Failed(msgspec.Struct, frozen=True):
    error: ApiError | None = None


class _Message(msgspec.Struct, frozen=True):
    message: Stored


def journal(subjects: Subjects, replicas: int = 1) -> StreamConfig:
    """Return how the journal must be: nothing is dropped, deleted, purged or replaced."""
    return StreamConfig(
        name=subjects.stream("JNL"),
        subjects=(subjects.frames, subjects.epoch),
        storage="file",
        discard="new",
        num_replicas=replicas,
        duplicate_window=DUPLICATE_WINDOW,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
    )


def others(subjects: Subjects, replicas: int = 1) -> tuple[StreamConfig, ...]:
    """Return the streams around the journal."""

    def kept(name: str, subject: str) -> StreamConfig:
        return StreamConfig(
            name=subjects.stream(name),
            subjects=(subject,),
            storage="file",
            num_replicas=replicas,
            duplicate_window=DUPLICATE_WINDOW,
            allow_direct=True,
        )

    replace = msgspec.structs.replace
    commands = kept("CMD", subjects.durable_all)
    answers = kept("RES", subjects.outcomes_all)
    usage = kept("USE", subjects.usage("*"))
    return (
        replace(
            commands,
            retention="workqueue",
            discard="new",
            max_msgs=KEPT_MAX,
            max_msgs_per_subject=KEPT_A_SUBJECT_MAX,
            discard_new_per_subject=True,
        ),
        replace(answers, max_age=REMEMBER_MS * MS),
        kept("EVT", subjects.events_all),
        replace(usage, max_age=USAGE_AGE, max_bytes=USAGE_BYTES_MAX),
    )


MUST_BE_EQUAL: Mapping[str, tuple[str, ...]] = {
    "JNL": (
        "subjects",
        "storage",
        "retention",
        "discard",
        "max_age",
        "max_bytes",
        "max_msgs",
        "max_msgs_per_subject",
        "deny_delete",
        "deny_purge",
        "allow_rollup_hdrs",
        "allow_msg_ttl",
        "allow_msg_schedules",
        "sources",
        "mirror",
    ),
    "CMD": ("subjects", "storage", "retention", "discard", "max_age"),
    "RES": ("subjects", "storage", "retention"),
    "EVT": ("subjects", "storage", "retention", "max_age"),
    "USE": ("subjects", "retention"),
    "CHK": ("subjects", "storage", "retention", "max_msgs_per_subject"),
}
"""The settings of each stream that are not a matter of taste."""


def objections(wanted: StreamConfig, found: StreamConfig) -> list[str]:
    """Return what is unsafe about a stream that exists, each naming its setting."""
    kind = wanted.name.rpartition("-")[2]
    wrong = [
        f"{name} is {_shown(found, name)}, not {_shown(wanted, name)}"
        for name in MUST_BE_EQUAL[kind]
        if getattr(found, name) != getattr(wanted, name)
    ]
    if found.num_replicas < wanted.num_replicas:
        wrong.append(f"num_replicas is {found.num_replicas}, not {wanted.num_replicas}")
    if found.duplicate_window < wanted.duplicate_window:
        wrong.append(f"duplicate_window is {found.duplicate_window // SECOND} s, not 120 s")
    if found.persist_mode == "async":
        wrong.append("persist_mode is async, which acknowledges before anything is on disk")
    return wrong


def _shown(config: StreamConfig, name: str) -> str:
    return msgspec.json.encode(getattr(config, name)).decode()


async def ensure(bus: Bus, subjects: Subjects, *, replicas: int = 1) -> None:
    """Make the streams of a region, or check those that are there.

    Raises `UnsafeStreamError` naming the setting, `JetStreamError`, `BusUnavailableError`.
    """
    for wanted in (journal(subjects, replicas), *others(subjects, replicas)):
        await ensure_stream(bus, wanted)


async def ensure_stream(bus: Bus, wanted: StreamConfig) -> None:
    """Make one stream, or check the one that is there. Raises as `ensure` does."""
    found = await info(bus, wanted.name)
    if found is None:
        try:
            created = await api(bus, f"STREAM.CREATE.{wanted.name}", msgspec.json.encode(wanted))
        except JetStreamError as error:
            if error.error.err_code != NAME_IN_USE:
                raise
            created = await api(bus, f"STREAM.INFO.{wanted.name}")  # somebody was faster
        found = msgspec.json.decode(created, type=StreamInfo)
    if wrong := objections(wanted, found.config):
        message = f"stream {wanted.name} is not safe: {'; '.join(wrong)}"
        raise UnsafeStreamError(message)


async def info(bus: Bus, name: str) -> StreamInfo | None:
    """Return a stream as its leader sees it, None if there is none."""
    data = await _api_unless(NO_STREAM, bus, f"STREAM.INFO.{name}")
    return msgspec.json.decode(data, type=StreamInfo) if data else None


async def message_at(bus: Bus, name: str, seq: int) -> Stored | None:
    """Return the message at a sequence, as the stream's leader has it; None if it has none."""
    data = await _api_unless(NO_MESSAGE, bus, f"STREAM.MSG.GET.{name}", _body(seq=seq))
    return msgspec.json.decode(data, type=_Message).message if data else None


async def last_message(bus: Bus, name: str, subject: str) -> Stored | None:
    """Return the last message of a subject, as the stream's leader has it; None if none."""
    data = await _api_unless(NO_MESSAGE, bus, f"STREAM.MSG.GET.{name}", _body(last_by_subj=subject))
    return msgspec.json.decode(data, type=_Message).message if data else None


def _body(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


async def api(bus: Bus, endpoint: str, body: bytes = b"") -> bytes:
    """Ask JetStream, again and again while nobody answers.

    Raises `JetStreamError` if it says no, `BusUnavailableError` after `API_PATIENCE_S`.
    """
    async for attempt in _patiently():
        with attempt:
            return await api_once(bus, endpoint, body)
    raise AssertionError  # pragma: no cover -- the last attempt returns or raises


async def api_once(bus: Bus, endpoint: str, body: bytes = b"") -> bytes:
    """Ask JetStream once. Raises `JetStreamError`, `BusUnavailableError`."""
    return await _answer(bus, f"$JS.API.{endpoint}", body)


async def put(bus: Bus, subject: str, payload: bytes) -> None:
    """Store a message that may be stored twice. Raises as `api` does."""
    async for attempt in _patiently():
        with attempt:
            await _answer(bus, subject, payload)


def _may_come_back(error: Exception) -> bool:
    return isinstance(error, BusUnavailableError) and not isinstance(error, BusClosedError)


def _patiently() -> AsyncIterator[stamina.Attempt]:
    return stamina.retry_context(
        on=_may_come_back, attempts=None, timeout=API_PATIENCE_S, wait_max=1.0
    )


async def _answer(bus: Bus, subject: str, body: bytes) -> bytes:
    data = await on_bus.request(bus, subject, body)
    error = msgspec.json.decode(data, type=_Failed).error
    if error is None:
        return data
    if error.code == UNAVAILABLE:
        message = f"{subject}: {error.description} ({error.err_code})"
        raise BusUnavailableError(message)
    raise JetStreamError(subject, error)


async def _api_unless(err_code: int, bus: Bus, endpoint: str, body: bytes = b"") -> bytes:
    """Ask JetStream; one error is an answer too, and becomes b""."""
    try:
        return await api(bus, endpoint, body)
    except JetStreamError as error:
        if error.error.err_code == err_code:
            return b""
        raise
