"""A canary, and who judges it: its history tells of one process at one place, and of all of it.

The canary draws a word, counts in its memory, and writes down both every 10 ms. What it was in
before shows: another word, a number that comes twice or is left out.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Self

from domain.messages import ContainerId, HostId
from handlers.agent.runc.images import Config
from tests.hosts.machine import Machine

SINGS = """#!/bin/sh
trap 'exit 0' TERM
read -r word < /proc/sys/kernel/random/uuid
i=0
while :; do i=$((i+1)); echo "$word $i" >> /data/history; usleep 10000; done
"""
CANARY = Config(
    command=("/bin/sing",), volumes=("/data",), labels={"restow.health": "command:/bin/true"}
)
LOOK_S = 0.02


def add_canary(machine: Machine) -> str:
    return machine.add("canary:1", CANARY, {"bin/sing": SINGS})


@dataclass
class Judge:
    """Where the canary was seen to sing, look by look: on `source`, then on `target`, or not."""

    machine: Machine
    container: ContainerId
    source: HostId
    target: HostId
    at: list[frozenset[HostId]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()

    def length(self, host: HostId) -> int:
        """Return how long its history is on a host, in bytes; 0 where there is none."""
        try:
            path = self.machine.home(host, self.container).volume("/data") / "history"
            return path.stat().st_size
        except OSError:
            return 0

    async def _watch(self) -> None:
        before = {host: self.length(host) for host in (self.source, self.target)}
        while True:
            await asyncio.sleep(LOOK_S)
            now = {host: self.length(host) for host in before}
            self.at.append(frozenset(host for host in now if 0 < before[host] < now[host]))
            before = now

    def judge(self, located: HostId) -> None:
        """Fail where it was not in one place at a time, or is not what it was."""
        last = max((n for n, seen in enumerate(self.at) if self.source in seen), default=-1)
        first = min(
            (n for n, seen in enumerate(self.at) if self.target in seen), default=len(self.at)
        )
        assert last <= first, self.at
        assert any(located in seen for seen in self.at), self.at
        path = self.machine.home(located, self.container).volume("/data") / "history"
        told = [line.split() for line in path.read_text().splitlines()]
        assert len({word for word, _ in told}) == 1, "it has begun anew"
        assert [int(number) for _, number in told] == [*range(1, len(told) + 1)]
