"""Seeing something change: it is read and drawn again, until Ctrl-C.

On a terminal what is shown is drawn anew; elsewhere each change is a line (JSON) or another table.
While the read side is away that is said, and it is asked again for a minute.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from domain.problems import Problem
from restow.cli.exits import ProblemError
from restow.cli.output import Item, Look, Page, as_line, out, say

T = TypeVar("T")

AWAY_S = 60.0
"""How long the read side may be away."""
AGAIN_S = 0.5
CALM_S = 0.25
"""A busy region is not drawn more often than this."""
AWAY = {429, 503, 504}
CLEAR = "\x1b[H\x1b[2J"


async def patiently(read: Callable[[], Awaitable[T | Problem]]) -> T:
    """Read, again and again while the read side is away. Raises `ProblemError`."""
    clock = asyncio.get_running_loop().time
    lost = 0.0
    while True:
        answer = await read()
        if not isinstance(answer, Problem):
            if lost:
                say("the read side is back")
            return answer
        if answer.status not in AWAY or (lost and clock() - lost > AWAY_S):
            raise ProblemError(answer)
        if not lost:
            lost = clock()
            say(f"{answer.code}: {answer.detail}; asking again for {AWAY_S:.0f} s")
        await asyncio.sleep(AGAIN_S)


async def redraw(
    page: Page,
    read: Callable[[], Awaitable[Page | Problem]],
    draw: Callable[[Page], None],
    look: Look,
    name: Callable[[Item], str],
) -> NoReturn:
    """Draw a page again whenever it has changed."""
    while True:
        await asyncio.sleep(CALM_S)
        fresh = await patiently(read)
        if fresh.items == page.items:
            continue
        if look.format in {"table", "wide"}:
            out(CLEAR if sys.stdout.isatty() else "")
            draw(fresh)
        else:
            _changes(page, fresh, look, name)
        sys.stdout.flush()
        page = fresh


def _changes(old: Page, new: Page, look: Look, name: Callable[[Item], str]) -> None:
    """Print a line for each item that is new, other than before, or gone."""
    before = {name(item): item for item in old.items}
    for item in new.items:
        if before.pop(name(item), None) != item:
            out(name(item) if look.format == "name" else as_line(item))
    for gone in before:
        out(f"-{gone}" if look.format == "name" else as_line({"gone": gone}))
