"""A conversation with a PostgreSQL server: made when needed, made again where it was lost."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from projections.stores import StoreDamagedError, StoreLockedError, StoreSlowError

CONNECT_S = 5
"""How long a connection may take to be made."""
SETTINGS = {
    "application_name": "restow",
    "synchronous_commit": "off",
    "jit": "off",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10min",
}
"""No commit waits for the disk: what is lost is folded again. Readings are short: no compiling."""
DAMAGED = {"3F000", "42P01", "42703", "42804", "XX001", "XX002"}
"""What PostgreSQL says where a schema, table or column is gone, or a page is damaged."""
SLOW = "57014"
AWAY = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""How it shows that a connection is lost; the last one where it is cut between two words."""
LOCKS = 0x52535457
"""What our advisory locks begin with: RSTW."""

Database = Any
"""A connection of asyncpg, which says nothing of its types."""
connect: Callable[..., Awaitable[Database]] = asyncpg.connect  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


class AwayError(StoreLockedError):
    """The connection is lost, or what asyncpg believes of it is not so any more."""


class HeldError(StoreLockedError):
    """Another session has the lock."""


@contextmanager
def explained() -> Generator[None]:
    """Tell apart what can be wrong with a server. Raises the errors of a store."""
    try:
        yield
    except asyncpg.PostgresError as error:
        state = getattr(error, "sqlstate", "") or ""
        if state in DAMAGED:
            message = f"the views in PostgreSQL are damaged: {error}"
            raise StoreDamagedError(message) from error
        if state == SLOW:
            message = f"PostgreSQL took too long: {error}"
            raise StoreSlowError(message) from error
        if state.startswith(("22", "23")):
            raise
        message = f"PostgreSQL cannot do it now: {error}"
        raise StoreLockedError(message) from error
    except AWAY as error:
        message = f"PostgreSQL is away: {error or type(error).__name__}"
        raise AwayError(message) from error


class Session:
    """One connection. With a `lock`, it alone of all sessions with this lock is there."""

    def __init__(self, url: str, lock: int | None = None) -> None:
        self._url = url
        self._lock = lock
        self._db: Database | None = None

    @property
    def is_open(self) -> bool:
        return self._db is not None and not self._db.is_closed()

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[Database]:
        """Use the connection during the block. Raises the errors of a store."""
        try:
            with explained():
                if self._db is None or self._db.is_closed():
                    self._db = await self._connected()
                yield self._db
        except AwayError:
            if self._db is not None:
                self._db.terminate()
            raise

    async def _connected(self) -> Database:
        db = await connect(self._url, timeout=CONNECT_S, server_settings=SETTINGS)
        if self._lock is None:
            return db
        with ExitStack() as if_it_fails:
            if_it_fails.callback(db.terminate)
            if not await db.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCKS, self._lock):
                message = "another process has these views in PostgreSQL"
                raise HeldError(message)
            if_it_fails.pop_all()
        return db

    async def close(self) -> None:
        """Close the connection, if there is one. Raises nothing."""
        db, self._db = self._db, None
        if db is not None:
            try:
                await db.close(timeout=CONNECT_S)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                db.terminate()
