"""Views kept in SQLite: a history folded and written in batches, and a read API asked in a row."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from benchmarks.figures import Figure
from benchmarks.fleets import frames_of, history
from domain.decider import Frame
from domain.facts import Fact
from domain.wire import decode_frame
from projections.batches import Projector, len_of
from projections.choice import Choice
from projections.rebuilding import BATCH_EVENTS
from projections.sqlite import SqliteReader, SqliteStore
from projections.views import VIEWS

EVENTS = 1_000_000
GOAL = 50_000
ROWS = 200_000
READINGS = 5_000
EVENTS_A_FRAME = 20
LINE = b"x" * 400
"""About as large as the line of an event."""


def run() -> list[Figure]:
    """Measure a rebuild; the limit beside it is a bare insert of as large rows, as many at once."""
    frames = frames_of(history(EVENTS), EVENTS_A_FRAME)
    with TemporaryDirectory() as folder:
        path = Path(folder, "views.db")
        events, took = projected(map(decode_frame, frames), path)
        rate, bare = events / took, inserted(Path(folder, "bare.db"))
        return [
            Figure(
                f"views of {events:,} events into SQLite, {BATCH_EVENTS:,} events a transaction",
                f"{rate:,.0f} events/s",
                f"rows as large, inserted and nothing else {bare:,.0f}/s ({rate / bare:.0%})",
                f">= {GOAL:,}/s",
                rate >= GOAL,
            ),
            *readings(path),
        ]


def projected(frames: Iterable[Frame[Fact]], path: Path) -> tuple[int, float]:
    """Return how many events were folded and written, and the seconds that took."""
    projector, waiting, batch = Projector(), 0, list[Frame[Fact]]()
    begun = time.perf_counter()
    with closing(SqliteStore(path)) as store:
        for frame in frames:
            batch.append(frame)
            waiting += len_of(frame)
            if waiting >= BATCH_EVENTS:
                store.write(projector.take(batch))
                batch, waiting = [], 0
        if batch:
            store.write(projector.take(batch))
    return projector.checkpoint.position, time.perf_counter() - begun


def inserted(path: Path) -> float:
    """Return how many rows a second SQLite takes, one line and its number each."""
    with closing(apsw.Connection(str(path))) as database:
        database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL").fetchall()
        database.execute("CREATE TABLE row (number INTEGER PRIMARY KEY, line BLOB) STRICT")
        rows = iter([(n, LINE) for n in range(ROWS)])
        begun = time.perf_counter()
        while batch := list(islice(rows, BATCH_EVENTS)):
            with database:
                database.executemany("INSERT INTO row VALUES (?, ?)", batch)
        return ROWS / (time.perf_counter() - begun)


def readings(path: Path) -> list[Figure]:
    """Measure what the store alone takes of an answer: one line, and a page of a hundred."""
    container, event = VIEWS["container"], VIEWS["event"]
    page = Choice(event, descending=True, limit=100)
    with closing(SqliteReader(path)) as reader:
        one = rate_of(reader, lambda: reader.get(container, "node7"))
        hundred = rate_of(reader, lambda: reader.select(page))
    return [
        Figure("one container read from the store", f"{one:,.0f}/s"),
        Figure("a page of 100 events read from the store", f"{hundred:,.0f}/s"),
    ]


def rate_of(reader: SqliteReader, read: Callable[[], object]) -> float:
    begun = time.perf_counter()
    for _ in range(READINGS):
        reader.begin()
        read()
        reader.end()
    return READINGS / (time.perf_counter() - begun)
