"""A store in one SQLite file: the lines of every view, and the checkpoint they are true at.

A batch and its checkpoint are one transaction. Who reads has connections of its own, which never
wait for the writer and see one position from the beginning of a reading to its end.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import apsw

from domain.messages import Instant
from projections.batches import SHAPE, Batch, Checkpoint, Kept
from projections.choice import SQLITE, Choice, Found, quoted, select, stories
from projections.stores import (
    FORMAT,
    MovedOnError,
    StoreDamagedError,
    StoreLockedError,
    StoreSlowError,
    StoreTooNewError,
)
from projections.views import ALL, View, columns

Hook: TypeAlias = "Callable[[Any, str, int], int]"
"""Is told how many pages the write-ahead file has, after each transaction."""
APPLICATION = 0x52535457
"""What the file says of whose it is: RSTW."""
BUSY_MS = 2_000
"""How long a transaction waits for another process that has the file."""
CACHE_KIB = 16_384
STATEMENTS = 200
"""Prepared statements that a connection keeps."""
STEPS = 10_000
"""After so many steps of SQLite's machine it is looked whether a reading takes too long."""
NOW_STEPS, NOW_TURNS = 1_000, 30
"""What is read in so many steps, and so often, is read in less than some milliseconds."""
DIGITS_MAX = 18
JOURNAL_BYTES_MAX = 64 * 1_024 * 1_024
"""What is left of the write-ahead file once it was carried over."""


class Rows(Protocol):
    """What a statement gave."""

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Database(AbstractContextManager[Any], Protocol):
    """What is used of a connection, with the types of what we put in and get out."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows: ...

    def executemany(self, sql: str, values: Iterable[Sequence[Any]], /) -> Rows: ...

    def set_busy_timeout(self, ms: int, /) -> None: ...

    def set_wal_hook(self, call: Hook, /) -> None: ...

    def wal_checkpoint(self) -> tuple[int, int]: ...

    def set_progress_handler(self, call: Callable[[], bool] | None, steps: int, /) -> None: ...

    def close(self) -> None: ...


TYPES: Mapping[type, str] = {int: "INTEGER", str: "TEXT"}


def _layout() -> Iterator[str]:
    yield """CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1),
        position INTEGER, epoch INTEGER, at INTEGER, hash BLOB, quiet INTEGER, shape BLOB) STRICT"""
    yield """CREATE TABLE state (name TEXT, key BLOB, value BLOB, PRIMARY KEY (name, key))
        STRICT, WITHOUT ROWID"""
    for view in ALL:
        key = "_key TEXT" if view.is_log else "_key TEXT UNIQUE"
        number = "_number INTEGER PRIMARY KEY" if view.number else "_number INTEGER"
        named = [f"{quoted(name)} {TYPES[kind]}" for name, kind in columns(view).items()]
        members = ", ".join((key, number, *named, "_line BLOB", "_short BLOB"))
        yield f"CREATE TABLE {quoted(view.name)} ({members}) STRICT"
        for names in view.looked_up:
            index = quoted(f"{view.name} by {' '.join(names)}")
            yield f"CREATE INDEX {index} ON {quoted(view.name)} ({', '.join(map(quoted, names))})"


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Tell apart what can be wrong with a file. Raises the errors of a store."""
    try:
        yield
    except apsw.BusyError as error:
        message = f"{path} is held by another process for more than {BUSY_MS} ms"
        raise StoreLockedError(message) from error
    except apsw.InterruptError as error:
        message = f"{path} took too long to read"
        raise StoreSlowError(message) from error
    except (apsw.FullError, apsw.IOError) as error:
        message = f"{path} cannot be written or read now: {error}"
        raise StoreLockedError(message) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        message = f"{path} is damaged: {error}"
        raise StoreDamagedError(message) from error


def connected(path: Path, flags: int) -> Database:
    connection: Any = apsw.Connection(str(path), flags=flags, statementcachesize=STATEMENTS)
    connection.set_busy_timeout(BUSY_MS)
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    database: Database = connection
    return database


class SqliteStore:
    """The writer's side. Only one process writes a file; `close` it."""

    def __init__(self, path: Path) -> None:
        """Open a file, or make it. Raises the errors of a store."""
        self.path = path
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        with explained(path), ExitStack() as undo:
            self._db = connected(path, flags)
            undo.callback(self._db.close)
            self._prepare()
            undo.pop_all()
        self._put = {view.name: _put(view) for view in ALL}
        self._beside: Database | None = None
        self.pages = 0
        """Pages of the write-ahead file, once the caller carries it over."""

    def _prepare(self) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL").fetchall()
        db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}").fetchall()
        if not _format(db, self.path):
            with db:
                for statement in _layout():
                    db.execute(statement)
                db.execute("INSERT INTO checkpoint VALUES (1, 0, 0, 0, x'', 0, ?)", (SHAPE,))
                db.execute(f"PRAGMA application_id = {APPLICATION}")
                db.execute(f"PRAGMA user_version = {FORMAT}")

    def is_of_today(self) -> bool:
        """Tell whether this version of Restow made it; another one's is built anew."""
        return _is_of_today(self._db, self.path)

    def check(self) -> None:
        """Read all of the file. Raises `StoreDamagedError`."""
        _check(self._db, self.path)

    def kept(self) -> Kept:
        """Return what the fold goes on from."""
        with explained(self.path):
            checkpoint = _checkpoint(self._db)
            state = _all(self._db, "SELECT name, key, value FROM state")
            commands = int(_all(self._db, "SELECT ifnull(max(_number), 0) FROM command")[0][0])
            operations, migrations = (self._stories(name) for name in ("operation", "migration"))
        return Kept(checkpoint, state, operations, migrations, commands)

    def _stories(self, name: str) -> list[bytes]:
        return [line for (line,) in self._db.execute(stories(quoted(name)))]

    def write(self, batch: Batch) -> None:
        """Write a batch and its checkpoint, all or nothing; what is written already, not again.

        Raises `MovedOnError` where the file does not stand where the batch begins.
        """
        with explained(self.path), ExitStack() as undo:
            self._db.execute("BEGIN IMMEDIATE")
            undo.callback(self._take_back)
            self._write(batch)
            self._db.execute("COMMIT")
            undo.pop_all()

    def write_now(self, batch: Batch) -> bool:
        """Write a batch as `write` does, unless another process has the file now: tell that."""
        self._db.set_busy_timeout(0)
        try:
            self.write(batch)
        except StoreLockedError:
            return False
        finally:
            self._db.set_busy_timeout(BUSY_MS)
        return True

    def carry_beside(self) -> None:
        """Leave it to `carry_over` from now on to bring what is written into the file itself."""
        with explained(self.path):
            self._beside = connected(self.path, apsw.SQLITE_OPEN_READWRITE)
            self._db.set_wal_hook(self._written)

    def _written(self, _db: Any, _name: str, pages: int) -> int:
        self.pages = pages
        return apsw.SQLITE_OK

    def carry_over(self) -> None:
        """Carry over what nobody reads any more; another thread may go on to write meanwhile."""
        if self._beside is not None:
            with explained(self.path):
                self._beside.wal_checkpoint()

    def _take_back(self) -> None:
        """Undo what was begun, unless SQLite did so by itself."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _write(self, batch: Batch) -> None:
        db, to = self._db, batch.checkpoint
        stands = _checkpoint(db)
        if stands == to:
            return
        if stands.position + batch.events != to.position:
            message = f"{self.path} stands at position {stands.position:,} already"
            raise MovedOnError(message)
        for name, keys in batch.gone.items():
            db.executemany(f"DELETE FROM {quoted(name)} WHERE _key = ?", ((k,) for k in keys))  # noqa: S608
        for name, rows in batch.rows.items():
            db.executemany(self._put[name], rows)
        gone = [(name, key) for name, key, value in batch.state if value is None]
        db.executemany("DELETE FROM state WHERE name = ? AND key = ?", gone)
        there = (entry for entry in batch.state if entry[2] is not None)
        db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", there)
        db.execute(
            "UPDATE checkpoint SET position = ?, epoch = ?, at = ?, hash = ?, quiet = ?",
            (to.position, to.epoch, to.at, to.hash, to.quiet),
        )

    def close(self) -> None:
        """Carry everything over into the file itself, and close it."""
        if self._beside is not None:
            self._beside.close()
        with suppress(StoreDamagedError, StoreLockedError), explained(self.path):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.close()


class SqliteReader:
    """One reader's side: a connection that only reads, one reading at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            message = f"{path} is gone"
            raise StoreDamagedError(message)
        with explained(path), ExitStack() as undo:
            self._db = connected(path, apsw.SQLITE_OPEN_READONLY)
            undo.callback(self._db.close)
            _format(self._db, path)
            undo.pop_all()

    def check(self) -> None:
        """Read all of the file. Raises `StoreDamagedError`."""
        _check(self._db, self.path)

    def is_of_today(self) -> bool:
        """Tell whether this version of Restow made it."""
        return _is_of_today(self._db, self.path)

    def begin(self) -> Checkpoint:
        """Begin a reading; return the checkpoint that all of it is true at."""
        with explained(self.path):
            self._db.execute("BEGIN")
            return _checkpoint(self._db)

    def end(self) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def get(self, view: View, key: str) -> bytes | None:
        """Return one line as JSON."""
        column, value = ("_number", _number(key)) if view.is_log else ("_key", key)
        sql = f"SELECT _line FROM {quoted(view.name)} WHERE {column} = ?"  # noqa: S608
        with explained(self.path):
            found = _all(self._db, sql, value)
        return found[0][0] if found else None

    def select(self, choice: Choice) -> list[Found]:
        """Return lines as they stand in lists, each with its place."""
        sql, values = select(choice, SQLITE)
        with explained(self.path):
            rows = _all(self._db, sql, *values)
        return [((*row[:-1],), row[-1]) for row in rows]

    def select_now(self, choice: Choice) -> list[Found] | None:
        """Return lines as `select` does; None where that takes longer than a moment."""
        turns = count(1)
        self.stop_after(lambda: next(turns) > NOW_TURNS, NOW_STEPS)
        try:
            return self.select(choice)
        except StoreSlowError:
            return None
        finally:
            self.stop_after(None)

    def count(self, view: View) -> int:
        """Return how many lines a view has."""
        with explained(self.path):
            rows = _all(self._db, f"SELECT count(*) FROM {quoted(view.name)}")  # noqa: S608
        return int(rows[0][0])

    def rows(self, view: View) -> Iterator[tuple[Any, ...]]:
        """Return all of a view, as it is kept, in the order of its keys."""
        with explained(self.path):
            order = "_number" if view.is_log else "_key"
            yield from self._db.execute(f"SELECT * FROM {quoted(view.name)} ORDER BY {order}")  # noqa: S608

    def state(self) -> Iterator[tuple[Any, ...]]:
        """Return what the fold goes on from, as it is kept, in the order of its keys."""
        with explained(self.path):
            yield from self._db.execute("SELECT name, key, value FROM state ORDER BY name, key")

    def look_through(self, path: Path, bounds: Mapping[str, str]) -> None:
        """Let these views go on in another file: there the lines for which a condition holds.

        A line that this file has too is read from this one.
        """
        with explained(path):
            self._db.execute("ATTACH ? AS other", (str(path),))
            for name, condition in bounds.items():
                view = quoted(name)
                self._db.execute(
                    f"CREATE TEMP VIEW {view} AS SELECT * FROM main.{view}"  # noqa: S608
                    f" UNION ALL SELECT * FROM other.{view} WHERE {condition}"
                    f" AND _key NOT IN (SELECT _key FROM main.{view})"
                )

    def stop_after(self, is_late: Callable[[], bool] | None, steps: int = STEPS) -> None:
        """End a reading with `StoreSlowError` as soon as `is_late` says so; None: never."""
        self._db.set_progress_handler(is_late, steps)

    def close(self) -> None:
        self._db.close()


def _number(key: str) -> int:
    return int(key) if key.isascii() and key.isdecimal() and len(key) <= DIGITS_MAX else -1


def _put(view: View) -> str:
    marks = ", ".join("?" * (len(columns(view)) + 4))
    return f"INSERT OR REPLACE INTO {quoted(view.name)} VALUES ({marks})"  # noqa: S608


def _format(db: Database, path: Path) -> int:
    """Return how the tables are laid out, 0 where there are none. Raises `StoreTooNewError`."""
    made = int(_all(db, "PRAGMA user_version")[0][0])
    if made > FORMAT:
        message = (
            f"{path} was made by a newer Restow (format {made}, this one reads {FORMAT}):"
            " run that one, or let `restow projection rebuild` make it anew"
        )
        raise StoreTooNewError(message)
    return made


def _is_of_today(db: Database, path: Path) -> bool:
    with explained(path):
        return _all(db, "SELECT shape FROM checkpoint") == [(SHAPE,)]


def _check(db: Database, path: Path) -> None:
    with explained(path):
        said = _all(db, "PRAGMA quick_check(1)")
        there = {name for (name,) in _all(db, "SELECT name FROM sqlite_schema")}
    if said != [("ok",)]:
        message = f"{path} is damaged: {said[0][0]}"
        raise StoreDamagedError(message)
    if gone := {view.name for view in ALL} - there:
        message = f"{path} has lost {', '.join(sorted(gone))}"
        raise StoreDamagedError(message)


def _checkpoint(db: Database) -> Checkpoint:
    rows = _all(db, "SELECT position, epoch, at, hash, quiet FROM checkpoint")
    if not rows:
        message = "the file has lost its checkpoint"
        raise StoreDamagedError(message)
    position, epoch, at, digest, quiet = rows[0]
    return Checkpoint(position, epoch, Instant(at), digest, quiet)


def _all(db: Database, sql: str, *values: Any) -> list[Any]:
    """Return all rows; what they hold is told by the layout."""
    return db.execute(sql, values).fetchall()
