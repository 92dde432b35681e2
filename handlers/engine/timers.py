"""Deadlines: armed from state, and told to the region as asks when they have passed."""

import asyncio
from collections.abc import Callable
from itertools import islice

from domain.deadlines import DeadlinePassed
from domain.decider import Answered, Ask
from domain.fleet import Fleet
from domain.messages import AskId, Code, Instant, Refusal
from handlers.doors.desk import DeskClosedError

TICK_S = 0.05
"""How often deadlines are looked at, and so how late one may be told."""
BURST = 1_000
"""Deadlines told in one go; the rest follow at the next look."""


async def run(
    fleet: Fleet, ask: Callable[[Ask], asyncio.Future[Answered]], now: Callable[[], Instant]
) -> None:
    """Ask `DeadlinePassed` for everything that is due, once for each deadline, for ever.

    The ask is named after the deadline: asked again after a crash, it has its answer already.
    There is a blank in the name, so no client's ask can have it. Ends when the desk closes.
    """
    told: dict[str, Instant] = {}
    while True:
        await asyncio.sleep(TICK_S)
        at = now()
        due = [(saga, when) for saga, when in fleet.deadlines.items() if when <= at]
        told = {saga: when for saga, when in due if told.get(saga) == when}
        new = dict(islice((one for one in due if one[0] not in told), BURST))
        asks = (ask(asking(saga, when)) for saga, when in new.items())
        for saga, said in zip(
            new, await asyncio.gather(*asks, return_exceptions=True), strict=True
        ):
            if isinstance(said, DeskClosedError):
                return
            if isinstance(said, BaseException):
                raise said
            if not turned_away(said):
                told[saga] = new[saga]


def asking(saga: str, when: Instant) -> Ask:
    """Return the ask that tells a deadline."""
    name = AskId(f"due {saga} {when}")
    return Ask(name, DeadlinePassed(saga=saga, due=when), actor="clock")


def turned_away(said: Answered) -> bool:
    """Say whether the desk had no room for an ask, which is then to be asked again."""
    return isinstance(said.answer, Refusal) and said.answer.code is Code.RATE_LIMITED
