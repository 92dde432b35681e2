"""What the parts of a host's agent share: its ledger, its runtime, the other hosts."""

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

from domain.messages import ContainerId, HostId
from handlers.agent.ledger import Ledger
from handlers.agent.pace import Pace
from handlers.agent.peers import Peers
from handlers.agent.runtime import Runtime


def always() -> bool:
    return True


class Post:
    """One host, as its agent knows it. `may_begin`: it has a lease."""

    def __init__(
        self,
        ledger: Ledger,
        runtime: Runtime,
        peers: Peers,
        pace: Pace,
        *,
        may_begin: Callable[[], bool] = always,
    ) -> None:
        self.ledger = ledger
        self.runtime = runtime
        self.peers = peers
        self.pace = pace
        self.may_begin = may_begin
        self._locks: WeakValueDictionary[ContainerId, asyncio.Lock] = WeakValueDictionary()

    @property
    def host(self) -> HostId:
        return self.ledger.agent.host

    def lock(self, container: ContainerId) -> asyncio.Lock:
        """Return the lock of a container: one piece of work at a time touches it."""
        return self._locks.setdefault(container, asyncio.Lock())
