"""Names that a shell offers: what there is at the moment, if the read side says so soon enough."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import Parameter

from domain.problems import Problem
from handlers.bus import BusUnavailableError
from restow.logs import quiet
from restow.settings import SettingsError, find_region
from restow.talk import talk

SOON_S = 0.3
"""Whoever presses Tab waits no longer for names than this, and once more to connect."""
OFFERED_MAX = 200


def offered(query: str, name: Callable[[dict[str, Any]], str]) -> Parameter:
    """Return what a positional name says to the shell: the names in the answer to `query`."""

    def complete(_context: object) -> list[str]:
        return asyncio.run(names(query, name))

    return Parameter(completer=complete)


async def names(query: str, name: Callable[[dict[str, Any]], str]) -> list[str]:
    """Return names of what there is; none where nobody answers in time."""
    quiet()
    try:
        async with talk(find_region(), within_s=SOON_S) as region, asyncio.timeout(SOON_S):
            answer = await region.read(query, {"limit": OFFERED_MAX})
    except (BusUnavailableError, SettingsError, TimeoutError):
        return []
    return [] if isinstance(answer, Problem) else [name(item) for item in answer["items"]]


def _id(item: dict[str, Any]) -> str:
    return str(item["id"])


def _layer(item: dict[str, Any]) -> str:
    return f"{item['environment']}/{item['name']}"


LAYER = offered("layer.list", _layer)

Host = Annotated[str, offered("host.list", _id)]
Environment = Annotated[str, offered("environment.list", _id)]
Container = Annotated[str, offered("container.list", _id)]
Operation = Annotated[str, offered("operation.list", _id)]
Migration = Annotated[str, offered("migration.list", _id)]
Recovery = Annotated[str, offered("recovery.list", _id)]
Evacuation = Annotated[str, offered("evacuation.list", _id)]
Rebalance = Annotated[str, offered("rebalance.list", _id)]
Trigger = Annotated[str, offered("trigger.list", _id)]
