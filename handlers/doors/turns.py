"""Whose turn it is: our own asks first, then a command of each tenant, one after the other.

Within one tenant, and among our own, the order is that in which they came.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from domain.messages import Tenant

T = TypeVar("T")

OWN_TURNS = 3
"""Reports and deadlines that are taken for each command, where both wait: neither starves."""


class Turns(Generic[T]):
    """A queue with a lane for each tenant, and one for ourselves."""

    def __init__(self) -> None:
        self.own: deque[T] = deque()
        self._lanes: dict[Tenant, deque[T]] = {}
        self._order: deque[Tenant] = deque()
        self._commands = 0
        self._own_taken = 0

    def __len__(self) -> int:
        return len(self.own) + self._commands

    def put(self, tenant: Tenant, one: T) -> None:
        """Queue a command of a tenant."""
        lane = self._lanes.get(tenant)
        if lane is None:
            lane = self._lanes[tenant] = deque()
            self._order.append(tenant)
        lane.append(one)
        self._commands += 1

    def take(self) -> T:
        """Take what is next. Raises `IndexError` if nothing waits."""
        if self.own and (self._own_taken < OWN_TURNS or not self._commands):
            self._own_taken += 1
            return self.own.popleft()
        self._own_taken = 0
        tenant = self._order.popleft()
        lane = self._lanes[tenant]
        self._commands -= 1
        taken = lane.popleft()
        if lane:
            self._order.append(tenant)
        else:
            del self._lanes[tenant]
        return taken


class Line(Generic[T]):
    """Turns that can be waited for, and whose end can be waited for."""

    def __init__(self) -> None:
        self._turns: Turns[T] = Turns()
        self._owed = 0
        self._came = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()

    def __len__(self) -> int:
        return len(self._turns)

    def put(self, tenant: Tenant, one: T) -> None:
        """Queue something of a tenant."""
        self._turns.put(tenant, one)
        self._owed += 1
        self._came.set()
        self._done.clear()

    async def get(self) -> T:
        """Take what is next, waiting for it if need be. Say `done` of each."""
        while not self._turns:
            self._came.clear()
            await self._came.wait()
        return self._turns.take()

    def done(self) -> None:
        """Say that something taken is dealt with."""
        self._owed -= 1
        if not self._owed:
            self._done.set()

    async def join(self) -> None:
        """Wait until all is dealt with."""
        await self._done.wait()
