"""Dead letters that somebody wants to be retried: asked as their tenants did, and settled.

What is to be retried is in the region's books, so nothing is forgotten when an engine ends. Each
attempt is an ask with an identity of its own, carried out once.
"""

import asyncio

import structlog
from msgspec.structs import replace

from domain.contracts import reply_to
from domain.dead import Letter, LetterState, SettleDead
from domain.decider import Ask
from domain.messages import AskId, Code
from domain.problems import Problem
from handlers.doors.decode import ID, Call, read
from handlers.doors.desk import DeskClosedError, Doorway
from handlers.doors.outcomes import Outcome, store

log = structlog.stdlib.get_logger(__name__)

LOOK_S = 0.1
"""How often letters are looked at."""


class Retries:
    """Carries out what is to be retried, one letter after the other, for ever."""

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self._desk = doorway.desk
        # A letter that was being retried when the engine before this one ended may be why it did:
        # unless it has its answer it is not tried again by itself.
        self._inherited = {letter.id: letter.attempt for letter in self._to_do()}

    async def run(self) -> None:
        """Retry for ever; ends when the desk closes."""
        try:
            while True:
                for letter in self._to_do():
                    await self._retry(letter)
                await asyncio.sleep(LOOK_S)
        except DeskClosedError:
            return

    def _to_do(self) -> tuple[Letter, ...]:
        letters = self._desk.letters.values()
        return tuple(one for one in letters if one.state is LetterState.RETRYING)

    async def _retry(self, letter: Letter) -> None:
        told = await self._outcome(letter)
        if isinstance(told, Problem) and told.code is Code.RATE_LIMITED:
            return
        await store(self._doorway, letter.tenant, f"{letter.id}/{letter.attempt}", told)
        await self._desk.ask(settled(letter, told))
        log.info("door.retried", letter=letter.id, attempt=letter.attempt)

    async def _outcome(self, letter: Letter) -> Outcome:
        ask = ask_of(letter, self._doorway)
        if isinstance(ask, Problem):
            return replace(ask, command_id=letter.ask)
        if self._inherited.get(letter.id) == letter.attempt:
            answered = await self._desk.give_up(ask)  # which says what was answered, if it was
        else:
            answered = await self._desk.ask(ask)
        return reply_to(answered, letter.ask)


def ask_of(letter: Letter, doorway: Doorway) -> Ask | Problem:
    """Return the ask of a letter's latest attempt, or why its bytes are still no command."""
    headers = {name: value for name, value in letter.headers.items() if name != ID}
    name = f"{letter.id}-{letter.attempt}"
    call = Call(letter.command, letter.body, headers, lambda: name, letter.tenant)
    ask = read(call, doorway.now())
    if isinstance(ask, Problem):
        return ask
    # The blank keeps the name apart from those of clients: the first id has its answer.
    return replace(ask, id=AskId(f"{letter.id} {letter.attempt}"), cause=letter.id)


def settled(letter: Letter, told: Outcome) -> Ask:
    """Return what tells the region how an attempt ended; poison is what is still no answer."""
    code, detail, poison = "", "", False
    if isinstance(told, Problem):
        code, detail = told.code.value, told.detail
        poison = told.position == 0 or told.code is Code.INTERNAL
    command = SettleDead(
        dead=letter.id, attempt=letter.attempt, code=code, detail=detail, poison=poison
    )
    return Ask(AskId(f"settle {letter.id} {letter.attempt}"), command, actor="door")
