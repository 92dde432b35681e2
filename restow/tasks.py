"""A task group whose single failure is raised as itself, so that it can be caught by its name."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


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
