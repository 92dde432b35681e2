"""Keyframes: the fleet as it was at places of the journal, kept so that any moment is near one.

A file each, in a folder of the read side. They are caches: any may be thrown away, and the read
side makes them again. One that is damaged, of another journal or of another version is passed
over, and whoever reads is told why. How far apart they are follows what reading on costs.
"""

import gc
import re
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, contextmanager
from hashlib import sha256
from pathlib import Path
from zlib import compress, decompress
from zlib import error as ZlibError  # noqa: N812 - an exception, whatever zlib calls it

import msgspec

from domain.container import Placing
from domain.decider import Frame
from domain.facts import Fact
from domain.image import SHAPE as IMAGE_SHAPE
from domain.image import StrangeImageError, from_image, to_image
from domain.messages import ContainerId, Instant
from domain.region import Region
from domain.wire import chain
from projections.batches import Checkpoint, frame_hash, len_of
from projections.evacuations import EvacuationStory
from projections.feed import Frames, H, last_position
from projections.lines import MigrationLine, OperationLine
from projections.moments import Moment
from projections.reads import Reads
from projections.recoveries import RecoveryStory
from projections.triggers import FiringLine

FRAME_US, EVENT_US = 35.0, 9.0
"""What a frame costs that is read again, and each of its events: as measured, see benchmarks."""
APART_US = 60_000.0
"""Reading on from a keyframe costs about this much at most while the journal is young."""
SHARE = 400
"""Later, keyframes are as far apart as one in so many of all that there is."""
LARGE = 10_000
"""Containers from which on keyframes are further apart: making one holds the read side up."""
COMPRESSION = 1
NAME = re.compile(r"([0-9]{1,15})-([0-9]{1,15})\.keyframe")
DIGEST_BYTES = 32
UNFINISHED = ".new"


class StrangeKeyframeError(ValueError):
    """These bytes are no keyframe of this version, or not what was written, or of elsewhere."""


class Scene(msgspec.Struct, frozen=True, array_like=True):
    """What a moment needs: the region without its answers, and what is told of what goes on."""

    image: bytes
    checkpoint: Checkpoint
    why: msgspec.Raw
    counts: dict[str, int]
    operations: list[OperationLine]
    migrations: list[MigrationLine]
    evacuations: list[EvacuationStory]
    recoveries: list[RecoveryStory]
    firings: list[FiringLine]

    @property
    def position(self) -> int:
        return self.checkpoint.position


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Scene)
_whys = msgspec.msgpack.Decoder(dict[ContainerId, msgspec.Raw])
SHAPES = (Placing, OperationLine, MigrationLine, EvacuationStory, RecoveryStory, FiringLine)
SHAPE = chain(
    IMAGE_SHAPE
    + msgspec.json.encode(
        msgspec.json.schema_components([*SHAPES, Checkpoint]), order="deterministic"
    )
)
"""A keyframe of another shape is passed over."""


def scene_of(reads: Reads, frame: Frame[Fact]) -> Scene:
    """Return the moment at which `reads` has just taken `frame`, of which it must have events.

    Of stories those are kept that go on; what is over stands in the journal and in the views.
    """
    region = Region()
    region.fleet, region.versions = reads.fleet, reads.versions
    region.position, region.epoch, region.at = reads.position, reads.epoch, reads.at
    return Scene(
        to_image(region),
        Checkpoint(reads.position, reads.epoch, reads.at, frame_hash(frame)),
        msgspec.Raw(_encoder.encode(reads.why)),
        dict(reads.counts),
        [line for line in reads.operations.values() if not line.finished_at],
        [line for line in reads.migrations.values() if not line.finished_at],
        [one for one in reads.evacuations.values() if not one.evacuation.finished_at],
        [one for one in reads.recoveries.values() if not one.recovery.finished_at],
        [line for line in reads.firings.values() if not line.settled_at],
    )


def reads_of(scene: Scene) -> Reads:
    """Return reads that go on from a moment. Raises `StrangeKeyframeError`.

    They know nothing of events, commands and stories that were over by then.
    """
    try:
        with undisturbed():
            region = from_image(scene.image)
    except StrangeImageError as error:
        raise StrangeKeyframeError(str(error)) from error
    reads = Reads(events_max=0)
    reads.fleet, reads.versions = region.fleet, region.versions
    reads.fleet.watcher = reads
    reads.why.update(_whys.decode(scene.why))
    reads.counts.update(scene.counts)
    reads.operations = {line.id: line for line in scene.operations}
    reads.migrations = {line.id: line for line in scene.migrations}
    reads.evacuations = {one.evacuation.id: one for one in scene.evacuations}
    reads.recoveries = {one.recovery.id: one for one in scene.recoveries}
    reads.firings = {line.id: line for line in scene.firings}
    at = scene.checkpoint
    reads.resume(at.position, at.epoch, at.at)
    return reads


@contextmanager
def undisturbed() -> Generator[None]:
    """Let the collector of cycles rest: a hundred thousand new values have none, and it looks."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class Kept(msgspec.Struct, frozen=True, order=True):
    """A keyframe in its file, by the last event and the time that it is as of."""

    position: int
    at: Instant
    path: Path

    def by(self, moment: Moment) -> bool:
        """Tell whether all that the keyframe has had happened by a moment."""
        return self.at <= moment.at if moment.position is None else self.position <= moment.position


class Keyframes:
    """The folder of the keyframes. Methods block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Kept]:
        """Return what there is, oldest first; none where there is no folder."""
        found = (NAME.fullmatch(path.name) for path in self._paths())
        return sorted(
            Kept(int(name[1]), Instant(int(name[2])), self.folder / name[0])
            for name in found
            if name is not None
        )

    def _paths(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []

    def has(self, reads: Reads, frame: Frame[Fact]) -> bool:
        """Tell whether there is a good one of where `reads` stands, right after `frame`."""
        path = self._path(reads.position, reads.at)
        try:
            return _content(path.read_bytes(), path)[0] == frame_hash(frame)
        except (OSError, StrangeKeyframeError):
            return False

    def keep(self, scene: Scene) -> Path:
        """Write a keyframe as a whole, or not at all. Raises `OSError`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        at = scene.checkpoint
        packed = at.hash + compress(_encoder.encode(scene), COMPRESSION)
        path = self._path(at.position, at.at)
        new = path.with_name(path.name + UNFINISHED)
        new.write_bytes(SHAPE + sha256(packed).digest() + packed)
        return new.replace(path)

    def read(self, kept: Kept) -> Scene:
        """Return a keyframe. Raises `StrangeKeyframeError`."""
        try:
            _, packed = _content(kept.path.read_bytes(), kept.path)
            with undisturbed():
                scene = _decoder.decode(decompress(packed))
        except (OSError, ZlibError, msgspec.DecodeError) as error:
            message = f"{kept.path} cannot be read: {error}"
            raise StrangeKeyframeError(message) from error
        if (scene.position, scene.checkpoint.at) != (kept.position, kept.at):
            message = f"{kept.path} is as of position {scene.position:,}"
            raise StrangeKeyframeError(message)
        return scene

    def drop(self) -> int:
        """Throw all of them away, and return how many there were."""
        kept = self.all()
        for one in kept:
            one.path.unlink(missing_ok=True)
        return len(kept)

    def _path(self, position: int, at: Instant) -> Path:
        return self.folder / f"{position:012}-{at:013}.keyframe"


def _content(data: bytes, path: Path) -> tuple[bytes, bytes]:
    """Return the hash of the frame that a keyframe ends with, and what is packed in it."""
    shape, digest, packed = (
        data[:DIGEST_BYTES],
        data[DIGEST_BYTES : 2 * DIGEST_BYTES],
        data[2 * DIGEST_BYTES :],
    )
    if shape != SHAPE:
        message = f"{path} has the shape of another version"
        raise StrangeKeyframeError(message)
    if sha256(packed).digest() != digest:
        message = f"{path} is not what was written"
        raise StrangeKeyframeError(message)
    return packed[:DIGEST_BYTES], packed[DIGEST_BYTES:]


class Pace:
    """Says where keyframes are: the same places whenever the journal is read from its start."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since = 0.0

    def due(self, frame: Frame[Fact], containers: int) -> bool:
        """Count a frame, and tell whether a keyframe is to be right behind it."""
        cost = FRAME_US + EVENT_US * len_of(frame)
        self._total += cost
        self._since += cost
        apart = max(APART_US * max(1.0, containers / LARGE), self._total / SHARE)
        if self._since < apart or not len_of(frame):
            return False
        self._since = 0.0
        return True


def nearest(keyframes: Keyframes, moment: Moment, end: int) -> Iterator[Kept]:
    """Return the keyframes from which a moment can be reached, the nearest first.

    `end` is that of the journal: what is beyond it is of another one.
    """
    return (kept for kept in reversed(keyframes.all()) if kept.by(moment) and kept.position <= end)


async def following(
    frames: Frames[H], checkpoint: Checkpoint
) -> AsyncGenerator[tuple[H, Frame[Fact]]]:
    """Yield the frame that a keyframe ends with, once it is verified, and then what follows.

    Raises `StrangeKeyframeError` where the journal does not have that very frame.
    """
    found = False
    head = await frames.before(checkpoint.position - 1)
    async with aclosing(frames.follow(head)) as steps:
        async for step in steps:
            _, frame = step
            if not found and len_of(frame):
                found = last_position(frame) == checkpoint.position
                if not found or frame_hash(frame) != checkpoint.hash:
                    place = f"position {checkpoint.position:,}"
                    message = f"{place} of a keyframe is not so in the journal"
                    raise StrangeKeyframeError(message)
            if found:
                yield step
