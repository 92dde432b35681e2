"""Whose turn it is: our own asks first, then a command of each tenant, one after the other.

Within one tenant, and among our own, the order is that in which they came.
"""

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
