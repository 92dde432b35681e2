"""The library's recorders over a journal: its own in-memory ones, replicated.

A save is checked by the library's own rules against what was read, put on the journal behind the
last frame read, and only then applied. Where another writer was faster, its frames are applied
and the save is checked again. Reads first apply what is missing. So all recorders of one
application, in whatever process, are the same tables at the same sequence: notification ids have
no gaps, a save is atomic over any aggregates, and its tracking goes with it. All events of the
application are held in memory.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from secrets import token_hex
from threading import Event
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.persistence import Notification, OperationalError, StoredEvent, Tracking
from eventsourcing.popo import (
    POPOAggregateRecorder,
    POPOApplicationRecorder,
    POPOProcessRecorder,
    POPORecorder,
    POPOTrackingRecorder,
)
from typing_extensions import override

from handlers.recorder.frames import Frame, decode, encode
from handlers.recorder.journal import Journal
from handlers.recorder.line import Stop

ATTEMPTS_MAX = 1_000
"""How often a save that is allowed makes way for others' before it gives up."""

T = TypeVar("T")


class Replica(POPORecorder):
    """Tables that are the fold of a journal, up to the frame read last."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self._read_up_to = 0

    @abstractmethod
    def _apply(self, frame: Frame) -> Sequence[int] | None:
        """Take a frame of the journal into the tables; return the notification ids it made."""

    def _catch_up(self) -> None:
        while frames := self._journal.read(self._read_up_to):
            for data in frames:
                self._apply(decode(data))
                self._read_up_to += 1

    def _save(
        self,
        check: Callable[[], None],
        events: Sequence[StoredEvent],
        tracking: Tracking | None,
        change: bytes = b"",
    ) -> Sequence[int] | None:
        """Check, write one frame, apply it. Raises what `check` does, and `OperationalError`."""
        with self._database_lock:
            for _ in range(ATTEMPTS_MAX):
                check()
                name = token_hex(12)
                data = encode(name, events, tracking, change)
                if self._journal.append(data, name, self._read_up_to):
                    self._read_up_to += 1
                    return self._apply(decode(data))
                self._catch_up()
        message = f"{ATTEMPTS_MAX} times another writer was faster"
        raise OperationalError(message)


class JetStreamAggregateRecorder(Replica, POPOAggregateRecorder):
    """Stored events by aggregate; also keeps snapshots."""

    @override
    def _insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        tracking: Tracking | None = kwargs.get("tracking")
        if not stored_events and tracking is None:
            return []
        return self._save(
            lambda: self._assert_uniqueness(stored_events, **kwargs), stored_events, tracking
        )

    @override
    def _apply(self, frame: Frame) -> Sequence[int] | None:
        return self._update_table(frame.events, tracking=frame.tracking)

    @override
    def _update_table(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Keep each aggregate's versions in order: the library would keep that of arrival."""
        names = {str(event.originator_id) for event in stored_events}
        ends = {name: max(self._stored_events_index[name], default=0) for name in names}
        ids = super()._update_table(stored_events, **kwargs)
        for name in names:
            versions = self._stored_events_index[name]
            fresh = [e.originator_version for e in stored_events if str(e.originator_id) == name]
            if fresh != sorted(fresh) or fresh[0] < ends[name]:
                self._stored_events_index[name] = dict(sorted(versions.items()))
        return ids

    @override
    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        with self._database_lock:
            self._catch_up()
            return super().select_events(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)


class JetStreamApplicationRecorder(JetStreamAggregateRecorder, POPOApplicationRecorder):
    """Stored events by aggregate and in one order; tells subscribers of all writers' saves."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._stop_watching: Stop | None = None

    @override
    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        with self._database_lock:
            self._catch_up()
            return super().select_notifications(
                start, limit, stop, topics, inclusive_of_start=inclusive_of_start
            )

    @override
    def max_notification_id(self) -> int | None:
        with self._database_lock:
            self._catch_up()
            return super().max_notification_id()

    @override
    def listen(self, event: Event) -> None:
        with self._database_lock:
            super().listen(event)
            if self._stop_watching is None:
                self._stop_watching = self._journal.watch(self._notify_listeners)

    @override
    def unlisten(self, event: Event) -> None:
        with self._database_lock:
            super().unlisten(event)
            if not self._listeners and self._stop_watching is not None:
                self._stop_watching()
                self._stop_watching = None

    @override
    def _notify_listeners(self) -> None:
        for listener in tuple(self._listeners):  # others come and go meanwhile
            listener.set()


class JetStreamTrackingRecorder(Replica, POPOTrackingRecorder):
    """How far other applications were followed; the base of views that are replicated with it.

    A view of its own derives from this, writes with `record` and folds in `take`.
    """

    @override
    def insert_tracking(self, tracking: Tracking) -> None:
        self.record(tracking)

    def record(self, tracking: Tracking, change: bytes = b"") -> None:
        """Write tracking and a change of the view, both or neither.

        Raises `IntegrityError` if the other application was followed so far already.
        """
        self._save(lambda: self._assert_tracking_uniqueness(tracking), (), tracking, change)

    def take(self, change: bytes) -> None:
        """Fold a change into the view. Called once for each, in order, in every process."""

    def current(self, read: Callable[[], T]) -> T:
        """Return what `read` finds in the view once it is up to date."""
        with self._database_lock:
            self._catch_up()
            return read()

    @override
    def _apply(self, frame: Frame) -> Sequence[int] | None:
        if frame.tracking is not None:
            self._insert_tracking(frame.tracking)
        if frame.change:
            self.take(frame.change)
        return None

    @override
    def max_tracking_id(self, application_name: str) -> int | None:
        with self._database_lock:
            self._catch_up()
            return super().max_tracking_id(application_name)


class JetStreamProcessRecorder(
    JetStreamTrackingRecorder, JetStreamApplicationRecorder, POPOProcessRecorder
):
    """Stored events together with how far other applications were followed to write them."""

    @override
    def _apply(self, frame: Frame) -> Sequence[int] | None:
        if frame.change:
            self.take(frame.change)
        return self._update_table(frame.events, tracking=frame.tracking)
