"""Where applications come from: the port an agent fetches them through, and a simulated one."""

import asyncio
from hashlib import sha256
from typing import Protocol

import msgspec

from domain.software import Application
from handlers.agent.behaviour import Behaviour, Dice


class FetchFailedError(RuntimeError):
    """The application could not be had as it was named; the message says why."""


class Fetched(msgspec.Struct, frozen=True):
    """An application on this host: what it is exactly, whatever a branch may mean later."""

    application: Application
    digest: str


class Fetch(Protocol):
    """Brings applications to a host. May be asked twice, and may be cancelled."""

    async def fetch(self, application: Application, mark: str) -> Fetched:
        """Return it, checked against the digest if one is named. Raises `FetchFailedError`.

        `mark` names the order that wants it.
        """
        ...


class SimulatedFetch:
    """Takes its time and sometimes fails, as the seed says; nothing is read. See `Fetch`."""

    def __init__(self, behaviour: Behaviour, host: str) -> None:
        self._dice = Dice(behaviour, host)
        self._speed = behaviour.speed

    async def fetch(self, application: Application, mark: str) -> Fetched:
        await asyncio.sleep(self._dice.lasts_ms("fetch", mark) / 1_000 / self._speed)
        if self._dice.fails("fetch", mark):
            message = f"{application.label} could not be fetched, as simulated"
            raise FetchFailedError(message)
        digest = application.sha256 or sha256(application.label.encode()).hexdigest()
        return Fetched(application, digest)
