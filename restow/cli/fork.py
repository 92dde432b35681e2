"""`restow fork`: history goes on in a sandbox, where commands are tried; nothing leaves it."""

import asyncio
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from domain.problems import Exit
from restow.cli import main, talk
from restow.cli.exits import UsageError
from restow.cli.flags import SHOWN, Showing
from restow.cli.history import DIFFERENCES, MOMENT, THERE, There, journal, noted, when
from restow.cli.output import Item, Page, on_terminal, say, show_list
from restow.cli.spelling import milliseconds
from restow.forking import Fork

WORDS = "diff (what is different from history), wait 5m (let time pass), exit"
LEAVE = {"exit", "quit"}


def fork(
    said: Annotated[str, MOMENT],
    /,
    *words: Annotated[str, Parameter(allow_leading_hyphen=True, help="A command; after --.")],
    script: Annotated[Path | None, Parameter(help="Commands, one a line; # begins a note.")] = None,
    at: There = THERE,
    how: Showing = SHOWN,
) -> int:
    """Go on from a moment of history in a sandbox, and try commands in it.

    With the real deciders and nominal hosts, which do what they are told in the time that it
    usually takes. Nothing is written and no agent hears of it. Commands are those of this command
    line; without any they are read line by line, also from a pipe.
    """
    if words and script is not None:
        message = "give a command or --script, not both"
        raise UsageError(message)
    sandbox = asyncio.run(begun(said, at))
    token = talk.SANDBOX.set(sandbox)
    try:
        if words:
            code = run(sandbox, list(words), how)
            differ(sandbox, how)
            return code
        return converse(sandbox, script, how)
    finally:
        talk.SANDBOX.reset(token)


async def begun(said: str, at: There) -> Fork:
    """Return a fork of the region as of a moment."""
    then = when(said)
    async with journal(at) as reaching:
        reached = await reaching.reach(then)
    noted(reached, then)
    reached.reads.keep_events()
    sandbox = Fork(reached.reads)
    say(f"a fork of position {sandbox.begun:,}: nothing here is written, and no agent hears of it")
    return sandbox


def converse(sandbox: Fork, script: Path | None, how: Showing) -> int:
    """Run lines until there are none; a script ends with the first that is not done."""
    asks = script is None and on_terminal()
    if asks:
        say(f"type commands as after `restow`; also {WORDS}")
    try:
        for line in lines(script, f"fork of {sandbox.begun}> " if asks else ""):
            words = shlex.split(line, comments=True)
            if words and words[0] in LEAVE:
                break
            code = run(sandbox, words, how) if words else Exit.DONE
            if code and not asks:
                return code
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    if not asks:
        differ(sandbox, how)
    return Exit.DONE


def lines(script: Path | None, prompt: str) -> Iterator[str]:
    """Yield what is to be run."""
    if script is not None:
        yield from script.read_text(encoding="utf-8").splitlines()
    elif not prompt:
        yield from (line.rstrip("\n") for line in sys.stdin)
    else:
        while True:
            try:
                yield input(prompt)
            except EOFError:
                return


def run(sandbox: Fork, words: list[str], how: Showing) -> int:
    """Run one line in the sandbox, and return its exit code."""
    match words:
        case ["diff"]:
            differ(sandbox, how)
            return Exit.DONE
        case ["wait", span]:
            sandbox.wait(milliseconds(span))
            say(f"position {sandbox.position:,}")
            return Exit.DONE
        case ["fork", *_]:
            say("error: this is a fork already; leave it with exit")
            return Exit.USAGE
        case _:
            return main(words)


def differ(sandbox: Fork, how: Showing) -> None:
    """Show what is not as it was when the fork began."""
    told = sandbox.differences()
    items: list[Item] = [msgspec.to_builtins(one) for one in told]
    show_list(Page(items, sandbox.position), DIFFERENCES, how.look, lambda one: str(one["id"]))
