"""A persistence module for the library `eventsourcing`: its applications kept on JetStream.

Set `PERSISTENCE_MODULE=handlers.recorder`. What else is read from the environment, each key first
as `<APPLICATION>_<KEY>`, as the library does:

* `NATS_URL`: where the bus is; else the NATS context, else `nats://127.0.0.1:4222`.
* `RESTOW_PREFIX`: prefix of the region, `restow` if not set.
* `RESTOW_RECORDER_REPLICAS`: copies of the streams made, 1 if not set.
* `TRACKING_RECORDER_TOPIC`: a subclass of `JetStreamTrackingRecorder`, for a view.

Each application has its own streams: `<PREFIX>-REC-<APPLICATION>-EVENTS-JNL`, `…-SNAPSHOTS-JNL`
and `…-TRACKING-JNL`. `ORIGINATOR_ID_TYPE` is not needed: frames tell UUIDs from text.

For tools, tests and small applications beside Restow: every event is held in memory, a save waits
for the server, and every read asks it. The engine has its own journal (`handlers.journal`), which
this shares the careful sending with.
"""

from handlers.recorder.factory import JetStreamFactory
from handlers.recorder.recorders import (
    JetStreamAggregateRecorder,
    JetStreamApplicationRecorder,
    JetStreamProcessRecorder,
    JetStreamTrackingRecorder,
)

__all__ = [
    "JetStreamAggregateRecorder",
    "JetStreamApplicationRecorder",
    "JetStreamFactory",
    "JetStreamProcessRecorder",
    "JetStreamTrackingRecorder",
]
