"""The views of a region in a PostgreSQL database: a schema for each generation.

Which one is used stands in a table of one row. One process writes and one rebuilds, each held by
an advisory lock of its session; any number read.
"""

import re
import zlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count

import asyncpg  # type: ignore[import-untyped]

from projections.batches import Batch
from projections.choice import quoted
from projections.postgres import PostgresReader, PostgresStore
from projections.server import Database, HeldError, Session
from projections.stores import Generation, ShelfInUseError, StoreDamagedError, StoreLockedError

UNFINISHED = "_new"
PAST = "_past_"
"""What is behind the prefix in the schemas of moments; what a dead process left is removed."""
PREFIX_MAX = 40
"""A longer prefix is shortened: names have at most 63 bytes."""


class SchemaShelf:
    """The schemas of the views: a `projections.stores.Shelf`. `close` it."""

    def __init__(self, url: str, prefix: str) -> None:
        short = prefix[: PREFIX_MAX - 9]
        digest = zlib.crc32(prefix.encode())
        self._base = (prefix if len(prefix) <= PREFIX_MAX else f"{short}-{digest:08x}") + "_views"
        self._url = url
        self._used = quoted(self._base)
        self._count = count(1)
        self._looking = Session(url)
        self._writing = Session(url, _lock(f"{prefix} writing"))
        self._rebuilding = Session(url, _lock(f"{prefix} rebuilding"))

    def name(self, generation: Generation) -> str:
        return self.schema(generation)

    def schema(self, generation: Generation, *, beside: bool = False) -> str:
        """Return the schema of a generation."""
        return f"{self._base}_{generation}{UNFINISHED if beside else ''}"

    async def current(self) -> Generation | None:
        async with self._looking.working() as db:
            used = await self._in_use(db)
            if used is None:
                return None
            sql = "SELECT 1 FROM pg_namespace WHERE nspname = $1"
            return used if await db.fetchval(sql, self.schema(used)) else None

    async def _in_use(self, db: Database) -> Generation | None:
        try:
            found: Generation | None = await db.fetchval(
                f"SELECT generation FROM {self._used}.used"  # noqa: S608
            )
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            return None
        return found

    async def fresh(self) -> Generation:
        async with self._looking.working() as db:
            there = await self._there(db)
            return max(await self._in_use(db) or 0, *there.values(), 0) + 1

    async def _there(self, db: Database) -> dict[str, Generation]:
        sql = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)"
        pattern = re.compile(rf"{re.escape(self._base)}_([0-9]{{1,9}})(?:{UNFINISHED})?")
        names = [pattern.fullmatch(name) for (name,) in await db.fetch(sql, self._base)]
        return {found[0]: int(found[1]) for found in names if found}

    async def use(self, generation: Generation) -> None:
        await self._set("used", "generation BIGINT", generation)

    async def _set(self, table: str, column: str, value: Generation | bytes) -> None:
        """Keep one value in a table of one row, which is made where it is not there yet."""
        place, name = f"{self._used}.{table}", column.partition(" ")[0]
        async with self._looking.working() as db, db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", zlib.crc32(self._base.encode()))
            await db.execute(f"CREATE SCHEMA IF NOT EXISTS {self._used}")
            one = "one INT PRIMARY KEY CHECK (one = 1)"
            await db.execute(f"CREATE TABLE IF NOT EXISTS {place} ({one}, {column})")
            await db.execute(
                f"INSERT INTO {place} VALUES (1, $1)"  # noqa: S608
                f" ON CONFLICT (one) DO UPDATE SET {name} = excluded.{name}",
                value,
            )

    async def note(self, text: bytes) -> None:
        await self._set("note", "text BYTEA", text)

    async def noted(self) -> bytes | None:
        async with self._looking.working() as db:
            try:
                found: bytes | None = await db.fetchval(f"SELECT text FROM {self._used}.note")  # noqa: S608
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
                return None
            return found

    async def finish(self, generation: Generation) -> None:
        async with self._rebuilding.working() as db:
            old, new = self.schema(generation, beside=True), self.schema(generation)
            await db.execute(f"ALTER SCHEMA {quoted(old)} RENAME TO {quoted(new)}")

    async def discard(self, generation: Generation) -> None:
        async with self._rebuilding.working() as db:
            schema = quoted(self.schema(generation, beside=True))
            await db.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")

    async def tidy(self, keep: Generation) -> bool:
        async with self._writing.working() as db:
            old = [name for name, n in (await self._there(db)).items() if n < keep]
            gone = [await _dropped(db, name) for name in old if not name.endswith(UNFINISHED)]
        return all(gone)

    async def store(self, generation: Generation, *, beside: bool = False) -> PostgresStore:
        session = self._rebuilding if beside else self._writing
        return await PostgresStore.open(session, self.schema(generation, beside=beside))

    async def reader(self, generation: Generation, *, beside: bool = False) -> PostgresReader:
        schema = self.schema(generation, beside=beside)
        return await PostgresReader.open(Session(self._url), schema)

    async def past(
        self, today: Generation, batch: Batch, bounds: Mapping[str, str]
    ) -> "SchemaPast":
        name = f"{self._base}{PAST}{next(self._count)}"
        past = SchemaPast(self._url, name)
        async with AsyncExitStack() as if_it_fails:
            if_it_fails.push_async_callback(past.remove)
            await past.write(batch, self.schema(today), bounds)
            if_it_fails.pop_all()
        return past

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        async with self._held(self._writing):
            async with self._writing.working() as db:
                sql = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)"
                for (name,) in await db.fetch(sql, self._base + PAST):
                    await db.execute(f"DROP SCHEMA {quoted(name)} CASCADE")
            yield

    @asynccontextmanager
    async def rebuilding(self) -> AsyncGenerator[None]:
        async with self._held(self._rebuilding):
            async with self._rebuilding.working() as db:
                for name in await self._there(db):
                    if name.endswith(UNFINISHED):
                        await db.execute(f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")
            yield

    @asynccontextmanager
    async def _held(self, session: Session) -> AsyncGenerator[None]:
        try:
            async with session.working():
                pass
        except HeldError as error:
            raise ShelfInUseError(str(error)) from error
        try:
            yield
        finally:
            await session.close()

    async def close(self) -> None:
        await self._looking.close()


class SchemaPast:
    """A moment in a schema of its own: a `projections.stores.Past`."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._session = Session(url)

    async def write(self, batch: Batch, today: str, bounds: Mapping[str, str]) -> None:
        store = await PostgresStore.open(self._session, self._name)
        await store.write(batch)
        async with self._session.working() as db, db.transaction():
            for view, condition in bounds.items():
                then, now = f"{store.schema}.{quoted(f'then {view}')}", quoted(view)
                await db.execute(
                    f"ALTER TABLE {store.schema}.{now} RENAME TO {quoted(f'then {view}')}"
                )
                await db.execute(
                    f"CREATE VIEW {store.schema}.{now} AS SELECT * FROM {then}"  # noqa: S608
                    f" UNION ALL SELECT * FROM {quoted(today)}.{now} WHERE {condition}"
                    f" AND _key NOT IN (SELECT _key FROM {then})"
                )

    async def open(self) -> PostgresReader:
        return await PostgresReader.open(Session(self._url), self._name)

    async def remove(self) -> None:
        with suppress(StoreDamagedError, StoreLockedError):
            async with self._session.working() as db:
                await db.execute(f"DROP SCHEMA IF EXISTS {quoted(self._name)} CASCADE")
        await self._session.close()


async def _dropped(db: Database, name: str) -> bool:
    """Remove a schema unless it is being read: every reading begins at its checkpoint."""
    try:
        async with db.transaction():
            await db.execute(
                f"LOCK TABLE {quoted(name)}.checkpoint IN ACCESS EXCLUSIVE MODE NOWAIT"
            )
            await db.execute(f"DROP SCHEMA {quoted(name)} CASCADE")
    except asyncpg.LockNotAvailableError:
        return False
    except asyncpg.UndefinedTableError:
        await db.execute(f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")
    return True


def _lock(text: str) -> int:
    """Return the number of a lock, as PostgreSQL counts: with a sign."""
    return zlib.crc32(text.encode()) - 2**31
