"""The agent's own journal: what it has promised, written before it is acted upon."""

import asyncio
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import msgspec

from domain.memory import Agent, AnyEntry, Incarnated, Remembered, ReportOwed, evolve
from domain.messages import HostId
from handlers.agent.records import Records

Open = Callable[[Path], tuple[Records, list[bytes]]]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[AnyEntry, ...])


class Ledger:
    """The entries of one agent, and `agent`, which is their fold.

    Each start of an agent is a new incarnation. What was written before is compacted then, and
    whenever most of the file is of the past.
    """

    def __init__(self, records: Records, agent: Agent) -> None:
        self.agent = agent
        self._records = records
        self._owing = asyncio.Event()

    @classmethod
    def open(cls, path: Path, host: HostId, *, opened: Open = Records.open) -> "Ledger":
        """Read the ledger at `path`, or begin one. Raises as `Records.open` does."""
        records, written = opened(path)
        entries = (entry for data in written for entry in _decoder.decode(data))
        before = reduce(evolve, entries, Agent(host))
        agent = evolve(before, Incarnated(before.incarnation + 1))
        ledger = cls(records, agent)
        records.compact(ledger._all())
        ledger.recall()
        return ledger

    def note(self, *entries: AnyEntry) -> None:
        """Write entries, all or none. They survive this process, and the host once synced."""
        if not entries:
            return
        self._records.append(_encoder.encode(entries))
        self.agent = reduce(evolve, entries, self.agent)
        self._records.tidy(self._all)
        if any(isinstance(entry, ReportOwed) for entry in entries):
            self._owing.set()

    def _all(self) -> list[bytes]:
        """Return what a file holds in which nothing is of the past."""
        return [_encoder.encode((Remembered(self.agent),))]

    async def keep(self, *entries: AnyEntry) -> None:
        """Write entries and return when they are on disk."""
        self.note(*entries)
        await self.sync()

    async def sync(self) -> None:
        """Return when all entries are on disk."""
        await self._records.sync()

    def recall(self) -> None:
        """Let whoever waits for owed reports look again."""
        if self.agent.owed:
            self._owing.set()

    async def owing(self) -> None:
        """Wait until a report has been owed since this was called last."""
        await self._owing.wait()
        self._owing.clear()

    def close(self) -> None:
        self._records.close()
