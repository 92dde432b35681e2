"""The library's own recorder test cases, unmodified, over `handlers.recorder` and a real server.

Not bound: the cases of DCB recorders, which are not implemented, and of PostgreSQL.
"""

import os
from collections import Counter
from itertools import count
from unittest import TestCase

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import Tracking
from eventsourcing.utils import Environment, get_topic
from typing_extensions import override

from handlers.recorder import (
    JetStreamAggregateRecorder,
    JetStreamApplicationRecorder,
    JetStreamFactory,
    JetStreamProcessRecorder,
    JetStreamTrackingRecorder,
)
from handlers.recorder.journal import Journal
from tests.recorder.shipped import application, persistence, projection

NUMBERS = count(1)


def factory_for(case: TestCase) -> JetStreamFactory:
    """Return a factory that is closed when the test is over."""
    factory = JetStreamFactory(Environment("Conformance", os.environ))
    case.addCleanup(factory.close)
    return factory


class TestAggregateRecorder(persistence.AggregateRecorderTestCase):
    @override
    def create_recorder(self) -> JetStreamAggregateRecorder:
        return factory_for(self).aggregate_recorder()


class TestAggregateRecorderWithTextIds(TestAggregateRecorder):
    @override
    def new_originator_id(self) -> str:
        return f"container.node 17.{next(NUMBERS)}"


class TestSnapshotRecorder(persistence.AggregateRecorderTestCase):
    @override
    def create_recorder(self) -> JetStreamAggregateRecorder:
        return factory_for(self).aggregate_recorder(purpose="snapshots")


class TestApplicationRecorder(
    persistence.ApplicationRecorderTestCase[JetStreamApplicationRecorder]
):
    @override
    def create_recorder(self) -> JetStreamApplicationRecorder:
        return factory_for(self).application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithTextIds(TestApplicationRecorder):
    @override
    def new_originator_id(self) -> str:
        return f"container.node 17.{next(NUMBERS)}"


class TestNonInterleaving(persistence.NonInterleavingNotificationIDsBaseCase):
    insert_num = 1_000

    @override
    def create_recorder(self) -> JetStreamApplicationRecorder:
        return factory_for(self).application_recorder()


class TestTrackingRecorder(persistence.TrackingRecorderTestCase):
    @override
    def create_recorder(self) -> JetStreamTrackingRecorder:
        return factory_for(self).tracking_recorder()


class TestProcessRecorder(persistence.ProcessRecorderTestCase):
    @override
    def create_recorder(self) -> JetStreamProcessRecorder:
        return factory_for(self).process_recorder()


class OtherTrackingRecorder(JetStreamTrackingRecorder):
    """A tracking recorder of an application's own."""


class TestFactory(persistence.InfrastructureFactoryTestCase[JetStreamFactory]):
    @override
    def setUp(self) -> None:
        self.env = Environment("Conformance", os.environ)
        super().setUp()

    @override
    def expected_factory_class(self) -> type[JetStreamFactory]:
        return JetStreamFactory

    @override
    def expected_aggregate_recorder_class(self) -> type[JetStreamAggregateRecorder]:
        return JetStreamAggregateRecorder

    @override
    def expected_application_recorder_class(self) -> type[JetStreamApplicationRecorder]:
        return JetStreamApplicationRecorder

    @override
    def expected_tracking_recorder_class(self) -> type[JetStreamTrackingRecorder]:
        return JetStreamTrackingRecorder

    @override
    def tracking_recorder_subclass(self) -> type[JetStreamTrackingRecorder]:
        return OtherTrackingRecorder

    @override
    def expected_process_recorder_class(self) -> type[JetStreamProcessRecorder]:
        return JetStreamProcessRecorder


class TestExampleApplication(application.ExampleApplicationTestCase):
    expected_factory_topic = get_topic(JetStreamFactory)


@pytest.mark.filterwarnings("default:'log' is deprecated:DeprecationWarning")  # it tests that
class TestApplication(application.ApplicationTestCase):
    pass


class EventCounters(JetStreamTrackingRecorder, projection.EventCountersView):
    """The view that the library's projection tests ask for, replicated with its tracking."""

    CREATED = b"created"
    SUBSEQUENT = b"subsequent"

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.counted: Counter[bytes] = Counter()

    @override
    def take(self, change: bytes) -> None:
        self.counted[change] += 1

    @override
    def get_created_event_counter(self) -> int:
        return self.current(lambda: self.counted[self.CREATED])

    @override
    def get_subsequent_event_counter(self) -> int:
        return self.current(lambda: self.counted[self.SUBSEQUENT])

    @override
    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self.record(tracking, self.CREATED)

    @override
    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self.record(tracking, self.SUBSEQUENT)


class TestEventCountersView(projection.EventCountersViewTestCase):
    @override
    def construct_event_counters_view(self) -> EventCounters:
        view = factory_for(self).tracking_recorder(EventCounters)
        assert isinstance(view, EventCounters)
        return view


class TestAggregateEventCountersProjection(projection.AggregateEventCountersProjectionTestCase):
    view_class: type[projection.EventCountersView] = EventCounters


class TestEventSourcedProjection(projection.EventSourcedProjectionTestCase):
    pass


def test_the_module_is_what_the_environment_names() -> None:
    with Application[str]() as app:
        assert isinstance(app.factory, JetStreamFactory)
        assert isinstance(app.recorder, JetStreamApplicationRecorder)
