"""What one save of an application puts on its journal: one frame, all or nothing.

A frame is msgpack; envelopes are arrays, so that fields may be added at their end only. Ids keep
their type: a frame says of each whether it was a UUID.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from eventsourcing.persistence import DataError, StoredEvent, Tracking

FRAME_VERSION = 1


class Row(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A stored event of the library."""

    originator: str
    version: int
    topic: str
    state: bytes
    is_uuid: bool = False


class Seen(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Tracking: how far another application was followed by what this frame says."""

    application: str
    notification: int


class Frame(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """All that one save writes.

    `id` is no other frame's, so that a writer who lost an answer knows its own again; `change` is
    what a view writes together with its tracking.
    """

    version: int
    id: str
    rows: tuple[Row, ...] = ()
    seen: Seen | None = None
    change: bytes = b""

    @property
    def events(self) -> list[StoredEvent]:
        return [
            StoredEvent(
                UUID(row.originator) if row.is_uuid else row.originator,
                row.version,
                row.topic,
                row.state,
            )
            for row in self.rows
        ]

    @property
    def tracking(self) -> Tracking | None:
        return (
            None if self.seen is None else Tracking(self.seen.application, self.seen.notification)
        )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def encode(
    name: str, events: Sequence[StoredEvent], tracking: Tracking | None, change: bytes = b""
) -> bytes:
    """Return the bytes of one save, under the name `name`."""
    rows = tuple(
        Row(
            e.originator_id.hex if isinstance(e.originator_id, UUID) else e.originator_id,
            e.originator_version,
            e.topic,
            e.state,
            isinstance(e.originator_id, UUID),
        )
        for e in events
    )
    seen = None if tracking is None else Seen(tracking.application_name, tracking.notification_id)
    return _encoder.encode(Frame(FRAME_VERSION, name, rows, seen, change))


def decode(data: bytes) -> Frame:
    """Read one save. Raises the library's `DataError` where the bytes are none."""
    try:
        frame = _decoder.decode(data)
    except msgspec.DecodeError as error:
        message = f"no frame of a recorder: {error}"
        raise DataError(message) from error
    if frame.version != FRAME_VERSION:
        message = f"frame of version {frame.version}; this recorder reads {FRAME_VERSION}"
        raise DataError(message)
    return frame
