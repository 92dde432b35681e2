"""Deadlines: armed from state, and told to the region as asks when they have passed."""

import asyncio
from collections.abc import Callable

from domain.deadlines import DeadlinePassed
from domain.decider import Answered, Ask
from domain.fleet import Fleet
from domain.messages import AskId, Instant

TICK_S = 0.05
"""How often deadlines are looked at, and so how late one may be told."""


async def run(
    fleet: Fleet, ask: Callable[[Ask], asyncio.Future[Answered]], now: Callable[[], Instant]
) -> None:
    """Ask `DeadlinePassed` for everything that is due, once for each deadline, for ever.

    The ask is named after the deadline: asked again after a crash, it has its answer already.
    """
    told: dict[str, Instant] = {}
    while True:
        await asyncio.sleep(TICK_S)
        at = now()
        due = [(saga, when) for saga, when in fleet.deadlines.items() if when <= at]
        told = {saga: when for saga, when in due if told.get(saga) == when}
        for saga, when in due:
            if told.get(saga) != when:
                told[saga] = when
                name = AskId(f"due/{saga}/{when}")
                await ask(Ask(name, DeadlinePassed(saga=saga, due=when), actor="clock"))
