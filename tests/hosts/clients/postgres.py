"""Holds a transaction open, with rows, a lock, a cursor, and somebody who waits for the lock."""

import asyncio
import sys

import asyncpg  # type: ignore[import-untyped]

from tests.hosts.clients import GOOD, WITHIN_S, say, steps

ROWS = 1_000


async def connected(address: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=address, user="restow", database="postgres", timeout=WITHIN_S, command_timeout=WITHIN_S
    )


async def main(address: str) -> None:
    opened, counts, waits, tries = [await connected(address) for _ in range(4)]
    await counts.execute("CREATE TABLE count (n int); INSERT INTO count VALUES (0)")
    await counts.execute("CREATE TABLE rows (n int PRIMARY KEY); INSERT INTO rows VALUES (0)")
    born = await counts.fetchval("SELECT pg_postmaster_start_time()")
    transaction = opened.transaction()
    await transaction.start()
    await opened.execute("CREATE TEMP TABLE kept (n int) ON COMMIT DROP")
    await opened.execute("UPDATE rows SET n = -1 WHERE n = 0")
    cursor = await opened.cursor("SELECT n FROM generate_series(1, $1::int) AS n", ROWS)
    waiting = asyncio.create_task(
        waits.execute("UPDATE rows SET n = n - 1 WHERE n <= 0", timeout=None)
    )
    number, read = 0, []
    for number in steps():
        await counts.execute("UPDATE count SET n = n + 1")
        await opened.execute("INSERT INTO rows VALUES ($1)", number)
        await opened.execute("INSERT INTO kept VALUES ($1)", number)
        read += [row["n"] for row in await cursor.fetch(1)]
        await is_locked(tries)
        assert await tries.fetchval("SELECT max(n) FROM rows") == 0, "seen before it was committed"
        assert not waiting.done(), waiting
    assert await opened.fetchval("SELECT count(*) FROM kept") == number
    read += [row["n"] for row in await cursor.fetch(ROWS)]
    assert read == [*range(1, ROWS + 1)], "a cursor has lost its place"
    await transaction.commit()
    async with asyncio.timeout(WITHIN_S):
        assert await waiting == "UPDATE 1"
    assert await tries.fetchval("SELECT count(*) FROM rows") == number + 1
    assert await tries.fetchval("SELECT min(n) FROM rows") == -2
    assert await counts.fetchval("SELECT n FROM count") == number
    assert await (await connected(address)).fetchval("SELECT pg_postmaster_start_time()") == born
    await counts.execute("CHECKPOINT")
    say(GOOD)


async def is_locked(tries: asyncpg.Connection) -> None:
    try:
        await tries.execute("SELECT 1 FROM rows WHERE n = 0 FOR UPDATE NOWAIT")
    except asyncpg.LockNotAvailableError:
        return
    message = "the lock of an open transaction is gone"
    raise AssertionError(message)


asyncio.run(main(sys.argv[1]))
