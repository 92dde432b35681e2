"""The `eventsourcing` library with its SQLite recorder, on the same events."""

import tempfile
import time
from pathlib import Path

from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from domain.decider import Commit
from domain.facts import Fact, tag
from domain.wire import encode_fact


def commits_per_second(commits: list[Commit[Fact]]) -> float:
    """Save the events of each commit in one transaction, as the library would."""
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteDatastore(str(Path(folder) / "events.db"))
        recorder = SQLiteApplicationRecorder(store)
        recorder.create_table()
        begun = time.perf_counter()
        for commit in commits:
            recorder.insert_events(
                [
                    StoredEvent(
                        originator_id=event.stream,
                        originator_version=event.version,
                        topic=tag(event.fact),
                        state=encode_fact(event.fact),
                    )
                    for event in commit.events
                ]
            )
        took = time.perf_counter() - begun
        store.close()
    return len(commits) / took
