"""What fails in task groups, so that it can be caught by its name."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import cast


@asynccontextmanager
async def tasks() -> AsyncGenerator[asyncio.TaskGroup]:
    """Return a task group. Several failures at once are still raised as a group."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        first, *others = failures.exceptions
        if others:
            raise
        raise first from None


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield what went wrong, each by itself, whatever groups it came out in."""
    if isinstance(error, BaseExceptionGroup):
        for one in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from leaves(one)
    else:
        yield error
