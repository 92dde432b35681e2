"""A generation in a schema of a PostgreSQL database, read and written over asyncpg.

A batch and its checkpoint are one transaction, its rows go in by COPY. A reading is a transaction
that sees one position, on a connection of its own. What the server forgets when its power is cut
is folded again from the journal, so no commit waits for its disk.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from domain.messages import Instant
from projections.batches import SHAPE, Batch, Checkpoint, Kept, Row
from projections.choice import POSTGRES, Choice, Found, quoted, select, stories
from projections.server import Database, Session
from projections.stores import (
    FORMAT,
    MovedOnError,
    StoreDamagedError,
    StoreLockedError,
    StoreSlowError,
    StoreTooNewError,
)
from projections.views import ALL, VIEWS, View, columns

AHEAD = 1_000
"""Rows that are fetched at once."""
DIGITS_MAX = 18
TYPES: Mapping[type, str] = {int: "BIGINT", str: 'TEXT COLLATE "C"'}
"""Words are in order by their bytes, as in SQLite and in Python."""
ONE_MOMENT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
CHECKPOINT = "position, epoch, at, hash, quiet"
UNWRITTEN = "\0"
"""The one character that PostgreSQL does not keep in words; lines are kept as they are."""


def _layout(schema: str) -> Iterator[str]:
    yield f"CREATE SCHEMA {schema}"
    yield f"""CREATE TABLE {schema}.checkpoint (one INT PRIMARY KEY CHECK (one = 1),
        position BIGINT, epoch BIGINT, at BIGINT, hash BYTEA, quiet BIGINT,
        shape BYTEA, format INT)"""
    yield f"""CREATE TABLE {schema}.state (name {TYPES[str]}, key BYTEA, value BYTEA,
        PRIMARY KEY (name, key))"""
    for view in ALL:
        table = f"{schema}.{quoted(view.name)}"
        key = f"_key {TYPES[str]}" + ("" if view.is_log else " UNIQUE")
        number = "_number BIGINT" + (" PRIMARY KEY" if view.number else "")
        named = [f"{quoted(name)} {TYPES[kind]}" for name, kind in columns(view).items()]
        members = ", ".join((key, number, *named, "_line BYTEA", "_short BYTEA"))
        yield f"CREATE TABLE {table} ({members})"
        for names in view.looked_up:
            yield f"CREATE INDEX ON {table} ({', '.join(map(quoted, names))})"


class Schema:
    """What a writer and a reader of a generation have in common."""

    def __init__(self, session: Session, name: str) -> None:
        self.session = session
        self.schema = quoted(name)
        self._bare = name

    def table(self, view: View) -> str:
        return f"{self.schema}.{quoted(view.name)}"

    def working(self) -> AbstractAsyncContextManager[Database]:
        """Use the connection during the block. Raises the errors of a store."""
        return self.session.working()

    async def known(self) -> bool:
        """Tell whether the generation is there. Raises `StoreTooNewError`."""
        async with self.working() as db:
            if await db.fetchval("SELECT to_regclass($1)", f"{self.schema}.checkpoint") is None:
                return False
            made = await db.fetchval(f"SELECT format FROM {self.schema}.checkpoint")  # noqa: S608
        if made is None:
            raise StoreDamagedError(self._headless())
        if made > FORMAT:
            message = (
                f"{self._bare} was made by a newer Restow (format {made}, this one reads {FORMAT}):"
                " run that one, or let `restow projection rebuild` make it anew"
            )
            raise StoreTooNewError(message)
        return True

    def _headless(self) -> str:
        return f"{self._bare} has lost its checkpoint"

    async def is_of_today(self) -> bool:
        async with self.working() as db:
            sql = f"SELECT shape FROM {self.schema}.checkpoint"  # noqa: S608
            return bool(await db.fetchval(sql) == SHAPE)

    async def check(self) -> None:
        """Read every table. The server tells of damaged pages, where it keeps sums of them."""
        async with self.working() as db:
            for view in ALL:
                await db.fetchval(f"SELECT count(*) FROM {self.table(view)}")  # noqa: S608
            await db.fetchval(f"SELECT count(value) FROM {self.schema}.state")  # noqa: S608

    async def checkpoint(self, db: Database, more: str = "") -> Checkpoint:
        sql = f"SELECT {CHECKPOINT} FROM {self.schema}.checkpoint {more}"  # noqa: S608
        row = await db.fetchrow(sql)
        if row is None:
            raise StoreDamagedError(self._headless())
        position, epoch, at, digest, quiet = row
        return Checkpoint(position, epoch, Instant(at), digest, quiet)


class PostgresStore(Schema):
    """A schema's one writer: a `projections.stores.Store`. The session is its opener's."""

    @classmethod
    async def open(cls, session: Session, name: str) -> "PostgresStore":
        """Open a schema, or make it. Raises the errors of a store."""
        store = cls(session, name)
        if not await store.known():
            async with store.working() as db, db.transaction():
                for statement in _layout(store.schema):
                    await db.execute(statement)
                sql = f"INSERT INTO {store.schema}.checkpoint VALUES (1, 0, 0, 0, '', 0, $1, $2)"  # noqa: S608
                await db.execute(sql, SHAPE, FORMAT)
        return store

    async def kept(self) -> Kept:
        async with self.working() as db, db.transaction(isolation="repeatable_read"):
            checkpoint = await self.checkpoint(db)
            rows = await db.fetch(f"SELECT name, key, value FROM {self.schema}.state")  # noqa: S608
            last = f"SELECT coalesce(max(_number), 0) FROM {self.table(VIEWS['command'])}"  # noqa: S608
            commands = await db.fetchval(last)
            told = [
                [line for (line,) in await db.fetch(stories(self.table(VIEWS[name])))]
                for name in ("operation", "migration")
            ]
        return Kept(checkpoint, map(tuple, rows), told[0], told[1], commands)

    async def write(self, batch: Batch) -> None:
        async with self.working() as db, db.transaction():
            stands = await self.checkpoint(db, "FOR UPDATE")
            if stands == batch.checkpoint:
                return
            if stands.position + batch.events != batch.checkpoint.position:
                message = f"{self._bare} stands at position {stands.position:,} already"
                raise MovedOnError(message)
            await self._write(db, batch)

    async def _write(self, db: Database, batch: Batch) -> None:
        for name in dict.fromkeys((*batch.gone, *batch.rows)):
            await self._put(db, VIEWS[name], batch.rows.get(name, ()), batch.gone.get(name, ()))
        await self._keep(db, batch.state)
        to = batch.checkpoint
        await db.execute(
            f"UPDATE {self.schema}.checkpoint SET ({CHECKPOINT}) = ($1, $2, $3, $4, $5)",  # noqa: S608
            *(to.position, to.epoch, to.at, to.hash, to.quiet),
        )

    async def _put(
        self, db: Database, view: View, rows: Sequence[Row], gone: Sequence[str]
    ) -> None:
        fresh = rows if view.is_log else list({row[0]: row for row in rows}.values())
        keys = [*gone, *(() if view.is_log else (row[0] for row in fresh))]
        if keys:
            sql = f"DELETE FROM {self.table(view)} WHERE _key = ANY($1::text[])"  # noqa: S608
            await db.execute(sql, keys)
        if fresh:
            try:
                async with db.transaction():
                    await self._copy(db, view.name, fresh)
            except asyncpg.CharacterNotInRepertoireError:
                await self._copy(db, view.name, list(map(_writable, fresh)))

    async def _keep(self, db: Database, state: Sequence[tuple[str, bytes, bytes | None]]) -> None:
        if not state:
            return
        await db.execute(
            f"DELETE FROM {self.schema}.state WHERE (name, key) IN"  # noqa: S608
            " (SELECT * FROM unnest($1::text[], $2::bytea[]))",
            [name for name, _, _ in state],
            [key for _, key, _ in state],
        )
        there = [entry for entry in state if entry[2] is not None]
        if there:
            await self._copy(db, "state", there)

    async def _copy(self, db: Database, table: str, rows: Sequence[Sequence[Any]]) -> None:
        await db.copy_records_to_table(table, schema_name=self._bare, records=rows)

    async def close(self) -> None:
        """Close nothing: the session goes on."""


class PostgresReader(Schema):
    """A schema's reader: a `projections.stores.Reader`, on a session of its own."""

    _reading = False

    @classmethod
    async def open(cls, session: Session, name: str) -> "PostgresReader":
        """Open a schema. Raises `StoreDamagedError` where it is not there."""
        reader = cls(session, name)
        async with AsyncExitStack() as if_it_fails:
            if_it_fails.push_async_callback(session.close)
            if not await reader.known():
                message = f"{name} is gone"
                raise StoreDamagedError(message)
            if_it_fails.pop_all()
        return reader

    @property
    def sound(self) -> bool:
        return not self._reading and self.session.is_open

    async def begin(self) -> Checkpoint:
        async with self.working() as db:
            await db.execute(ONE_MOMENT)
            self._reading = True
            return await self.checkpoint(db)

    async def end(self) -> None:
        if self._reading and self.session.is_open:
            with suppress(StoreDamagedError, StoreLockedError, StoreSlowError):
                async with self.working() as db:
                    await db.execute("COMMIT")
                    self._reading = False

    async def get(self, view: View, key: str) -> bytes | None:
        column, value = ("_number", _number(key)) if view.is_log else ("_key", key)
        sql = f"SELECT _line FROM {self.table(view)} WHERE {column} = $1"  # noqa: S608
        if UNWRITTEN in key:
            return None
        async with self.working() as db:
            line: bytes | None = await db.fetchval(sql, value)
        return line

    async def select(self, choice: Choice, within_s: float | None = None) -> list[Found]:
        sql, values = select(choice, POSTGRES, self.table(choice.view))
        async with self.working() as db:
            try:
                rows = await db.fetch(sql, *values, timeout=within_s)
            except TimeoutError as error:
                message = f"{self._bare} took too long to read"
                raise StoreSlowError(message) from error
        return [((*row[:-1],), row[-1]) for row in map(tuple, rows)]

    async def count(self, view: View) -> int:
        async with self.working() as db:
            return int(await db.fetchval(f"SELECT count(*) FROM {self.table(view)}"))  # noqa: S608

    def rows(self, view: View) -> AsyncIterator[tuple[Any, ...]]:
        order = "_number" if view.is_log else "_key"
        return self._all(f"SELECT * FROM {self.table(view)} ORDER BY {order}")  # noqa: S608

    def state(self) -> AsyncIterator[tuple[Any, ...]]:
        return self._all(f"SELECT name, key, value FROM {self.schema}.state ORDER BY name, key")  # noqa: S608

    async def _all(self, sql: str) -> AsyncGenerator[tuple[Any, ...]]:
        async with self.working() as db:
            async for row in db.cursor(sql, prefetch=AHEAD):
                yield tuple(row)

    async def close(self) -> None:
        await self.session.close()


def _number(key: str) -> int:
    return int(key) if key.isascii() and key.isdecimal() and len(key) <= DIGITS_MAX else -1


def _writable(row: Row) -> Row:
    """Return a row whose words can be kept."""
    return tuple(one.replace(UNWRITTEN, "�") if isinstance(one, str) else one for one in row)
