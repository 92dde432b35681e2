"""How the library gets its recorders: what it was told in its environment, and one line for all."""

import re
from threading import Lock
from typing import TypeVar

from eventsourcing.persistence import InfrastructureFactory
from eventsourcing.utils import Environment, EnvType, resolve_topic
from typing_extensions import override

from domain.subjects import PREFIX_DEFAULT, Subjects
from handlers.bus import Address, find_address
from handlers.recorder.journal import Journal, place
from handlers.recorder.line import Line
from handlers.recorder.recorders import (
    JetStreamAggregateRecorder,
    JetStreamApplicationRecorder,
    JetStreamProcessRecorder,
    JetStreamTrackingRecorder,
    Replica,
)

NAME = re.compile(r"[A-Za-z0-9_-]+")
UNNAMED = "Application"
R = TypeVar("R", bound=Replica)


class JetStreamFactory(InfrastructureFactory[JetStreamTrackingRecorder]):
    """Makes recorders. Connects when the first is made; close it when done."""

    NATS_URL = "NATS_URL"
    PREFIX = "RESTOW_PREFIX"
    REPLICAS = "RESTOW_RECORDER_REPLICAS"

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Read the environment. Raises `OSError` naming what is wrong in it."""
        super().__init__(env)
        self._name = self.env.name or UNNAMED
        if not NAME.fullmatch(self._name):
            message = f"application {self._name!r}: use letters, digits, _ and - in its name"
            raise OSError(message)
        try:
            self._subjects = Subjects(self.env.get(self.PREFIX) or PREFIX_DEFAULT)
            self._replicas = int(self.env.get(self.REPLICAS) or 1)
        except ValueError as error:
            message = f"{self.PREFIX} or {self.REPLICAS}: {error}"
            raise OSError(message) from error
        self._lock = Lock()
        self._line: Line | None = None

    @override
    def aggregate_recorder(self, purpose: str = "events") -> JetStreamAggregateRecorder:
        return self._recorder(JetStreamAggregateRecorder, purpose)

    @override
    def application_recorder(self) -> JetStreamApplicationRecorder:
        return self._recorder(JetStreamApplicationRecorder, "events")

    @override
    def tracking_recorder(
        self, tracking_recorder_class: type[JetStreamTrackingRecorder] | None = None
    ) -> JetStreamTrackingRecorder:
        topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
        if tracking_recorder_class is None and topic:
            tracking_recorder_class = resolve_topic(topic)
        return self._recorder(tracking_recorder_class or JetStreamTrackingRecorder, "tracking")

    @override
    def process_recorder(self) -> JetStreamProcessRecorder:
        return self._recorder(JetStreamProcessRecorder, "events")

    @override
    def close(self) -> None:
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _recorder(self, recorder: type[R], purpose: str) -> R:
        with self._lock:
            if self._line is None:
                given = self.env.get(self.NATS_URL) or ""
                self._line = Line(find_address(given) or Address())
            line = self._line
        return recorder(Journal(line, place(self._subjects, self._name, purpose, self._replicas)))
