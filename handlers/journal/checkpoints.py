"""Checkpoints: a state as of some frame, kept so that a start need not read the whole journal.

They are caches and may be deleted. Two are kept, in the slots of a NATS key-value bucket, in
chunks; one that is torn or damaged is passed over, and the log says so.
"""

import asyncio
import zlib
from hashlib import sha256

import msgspec
import structlog

from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.journal.reader import Head
from handlers.journal.stream import (
    NO_STREAM,
    JetStreamError,
    StreamConfig,
    api,
    ensure_stream,
    info,
    last_message,
    put,
)

log = structlog.stdlib.get_logger(__name__)

SLOTS = ("a", "b")
CHUNK_BYTES = 512 * 1024
COMPRESSION = 1
"""Of zlib's levels the fastest: it makes a third of an image, at 100 MB/s."""
KEPT_VERSION = 1


class _Kept(msgspec.Struct, frozen=True):
    """What a slot holds. Written last, so that a torn checkpoint is one that nothing points to."""

    version: int
    head: Head
    chunks: int
    sha256: bytes


class _TornError(Exception):
    """The slot does not hold what it says."""


def bucket(subjects: Subjects, replicas: int = 1) -> StreamConfig:
    """Return the stream of the bucket, as NATS lays out key-value buckets."""
    name = subjects.stream("CHK")
    return StreamConfig(
        name=f"KV_{name}",
        subjects=(f"$KV.{name}.>",),
        storage="file",
        discard="new",
        num_replicas=replicas,
        max_msgs_per_subject=1,
        deny_delete=True,
        allow_direct=True,
        allow_rollup_hdrs=True,
    )


async def save(
    bus: Bus, subjects: Subjects, head: Head, image: bytes, *, replicas: int = 1
) -> None:
    """Keep the state as of `head`, in place of the older of the two that are kept.

    A bucket with fewer copies than `replicas` is given as many. Raises `UnsafeStreamError`,
    `JetStreamError`, `BusUnavailableError`; the newer one is still good then.
    """
    await _ensure_bucket(bus, bucket(subjects, replicas))
    packed = await asyncio.to_thread(zlib.compress, image, COMPRESSION)
    kept = await _kept(bus, subjects)
    slot = min(SLOTS, key=lambda name: kept[name].head.seq if name in kept else -1)
    starts = range(0, len(packed), CHUNK_BYTES)
    for number, start in enumerate(starts):
        await put(bus, _chunk(subjects, slot, number), packed[start : start + CHUNK_BYTES])
    digest = await asyncio.to_thread(_digest, packed)
    said = _Kept(KEPT_VERSION, head, len(starts), digest)
    await put(bus, _key(subjects, f"{slot}.head"), msgspec.msgpack.encode(said))


async def _ensure_bucket(bus: Bus, wanted: StreamConfig) -> None:
    found = await info(bus, wanted.name)
    if found is not None and found.config.num_replicas < wanted.num_replicas:
        await api(bus, f"STREAM.UPDATE.{wanted.name}", msgspec.json.encode(wanted))
    await ensure_stream(bus, wanted)


async def latest(bus: Bus, subjects: Subjects) -> tuple[Head, bytes] | None:
    """Return the newest checkpoint that is whole: its head and its image; None if there is none.

    Raises `BusUnavailableError`.
    """
    kept = await _kept(bus, subjects)
    for slot in sorted(kept, key=lambda name: kept[name].head.seq, reverse=True):
        try:
            return kept[slot].head, await _image(bus, subjects, slot, kept[slot])
        except (_TornError, zlib.error) as error:
            seq = kept[slot].head.seq
            await log.awarning("checkpoint.ignored", slot=slot, seq=seq, why=str(error))
    return None


async def newest_position(bus: Bus, subjects: Subjects) -> int:
    """Return the position of the newest checkpoint, whole or not; 0 if there is none.

    Raises `JetStreamError`, `BusUnavailableError`.
    """
    kept = await _kept(bus, subjects)
    return max((said.head.position for said in kept.values()), default=0)


async def drop_all(bus: Bus, subjects: Subjects) -> None:
    """Delete all checkpoints; the next start reads the whole journal."""
    try:
        await api(bus, f"STREAM.DELETE.{bucket(subjects).name}")
    except JetStreamError as error:
        if error.error.err_code != NO_STREAM:
            raise


async def _kept(bus: Bus, subjects: Subjects) -> dict[str, _Kept]:
    """Return what each slot says that it holds."""
    kept: dict[str, _Kept] = {}
    for slot in SLOTS:
        data = await _value(bus, subjects, _key(subjects, f"{slot}.head"))
        if data is None:
            continue
        try:
            kept[slot] = msgspec.msgpack.decode(data, type=_Kept)
        except msgspec.DecodeError as error:
            await log.awarning("checkpoint.ignored", slot=slot, why=str(error))
    return {slot: said for slot, said in kept.items() if said.version == KEPT_VERSION}


async def _image(bus: Bus, subjects: Subjects, slot: str, said: _Kept) -> bytes:
    chunks: list[bytes] = []
    for number in range(said.chunks):
        chunk = await _value(bus, subjects, _chunk(subjects, slot, number))
        if chunk is None:
            message = f"chunk {number} of {said.chunks} is missing"
            raise _TornError(message)
        chunks.append(chunk)
    packed = b"".join(chunks)
    if await asyncio.to_thread(_digest, packed) != said.sha256:
        message = "its hash is not the one written down"
        raise _TornError(message)
    return await asyncio.to_thread(zlib.decompress, packed)


async def _value(bus: Bus, subjects: Subjects, key: str) -> bytes | None:
    try:
        message = await last_message(bus, bucket(subjects).name, key)
    except JetStreamError as error:
        if error.error.err_code == NO_STREAM:
            return None
        raise
    return message.data if message else None


def _key(subjects: Subjects, key: str) -> str:
    return f"$KV.{subjects.stream('CHK')}.{key}"


def _chunk(subjects: Subjects, slot: str, number: int) -> str:
    return _key(subjects, f"{slot}.chunk.{number}")


def _digest(data: bytes) -> bytes:
    return sha256(data).digest()
