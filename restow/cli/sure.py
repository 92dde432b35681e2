"""Asking whether what takes something away is meant: once, on a terminal, with what would go."""

import sys
from collections.abc import Callable, Mapping
from typing import Annotated

from cyclopts import Parameter

from domain.problems import Exit, Problem
from restow.cli.exits import EndedError, ProblemError, UsageError
from restow.cli.flags import Asking, At
from restow.cli.output import Item, on_terminal, say
from restow.cli.talk import SANDBOX, region_of, talk

Yes = Annotated[
    bool, Parameter(name=("--yes", "-y"), help="It is meant; do not ask whether it is.")
]
NOT_FOUND = 404


async def sure(  # noqa: PLR0913 - what, how much of it, and what was typed
    act: str,
    question: tuple[str, Mapping[str, object]],
    counted: Callable[[Item], str],
    *,
    yes: bool,
    at: At,
    how: Asking,
) -> None:
    """Go on only if it is meant; `question` and `counted` say what it would take away.

    Raises `UsageError` where there is nobody to ask, `EndedError` where the answer is no,
    `ProblemError` where there is no such thing.
    """
    if yes or how.dry_run or SANDBOX.get() is not None:
        return
    somebody(act)
    async with talk(at) as region:
        found = await region.read(*question)
    if isinstance(found, Problem):
        if found.status == NOT_FOUND:
            raise ProblemError(found)
        lost = "nobody can tell how much that is"
    else:
        lost = counted(found)
    meant(f"{act} in region {region_of(at).prefix} ({lost})")


def count_environment(item: Item) -> str:
    return f"{len(item['layers'])} layers, {item['containers']} containers"


def count_layer(item: Item) -> str:
    return f"{item['count']} containers, {item['operable']} operable"


def count_host(item: Item) -> str:
    return f"{item['cloudlets']} cloudlets, {item['containers']} containers"


def somebody(act: str) -> None:
    """Raise `UsageError` where there is no terminal."""
    if not on_terminal():
        message = f"{act}: there is no terminal to ask whether it is meant; add --yes if it is"
        raise UsageError(message)


def meant(act: str) -> None:
    """Ask. Raises `EndedError` where the answer is not yes."""
    sys.stderr.write(f"{act}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        say("nothing was done")
        raise EndedError(Exit.INTERRUPTED)
