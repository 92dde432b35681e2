"""One conversation with a region: commands asked, questions put, answers shown."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from domain.contracts.replies import Reply
from domain.messages import Code, Refusal
from domain.problems import Problem, problem
from handlers.bus import BusUnavailableError
from restow.cli.exits import ProblemError
from restow.cli.flags import Asking, At, Reading
from restow.cli.output import (
    Column,
    Page,
    as_json,
    on_terminal,
    out,
    say,
    show_item,
    show_list,
    text,
)
from restow.cli.spelling import Body, given, milliseconds
from restow.logs import quiet
from restow.settings import find_region
from restow.talk import Talk
from restow.talk import talk as conversation

T = TypeVar("T")


@asynccontextmanager
async def talk(at: At) -> AsyncIterator[Talk]:
    """Return a conversation with the region that is meant.

    Raises `SettingsError` where none is named, `ProblemError` where its bus is away.
    """
    quiet()
    region = find_region(at.url, at.prefix)
    try:
        async with conversation(region) as said:
            yield said
    except BusUnavailableError as error:
        away = Refusal(Code.BUS_UNAVAILABLE, f"{error} (named by {region.source})")
        raise ProblemError(problem(away)) from error


def good(answer: T | Problem) -> T:
    """Return the answer. Raises `ProblemError` where it is a problem."""
    if isinstance(answer, Problem):
        raise ProblemError(answer)
    return answer


async def ask(command: str, body: Body, *, at: At, how: Asking) -> None:
    """Ask for a command, show its answer, and wait for what it began if that is wanted.

    Raises `ProblemError` where it was refused, `EndedError` where what it began failed.
    """
    patience_ms = milliseconds(how.timeout)
    async with talk(at) as region:
        reply = good(await region.ask(command, {**body, **how.body}))
        show_reply(reply, how)
        if not reply.operation_id or reply.status != "accepted":
            return
        if how.wait if how.wait is not None else on_terminal():
            from restow.cli.watch import watch
            await watch(region, reply.operation_id, reply.position, patience_ms)
        elif how.output == "table":
            say(f"  restow op watch {reply.operation_id}")


def show_reply(reply: Reply, how: Asking) -> None:
    """Print the answer to a command in the format that is wanted."""
    if how.output == "json":
        out(as_json(reply))
    elif how.output == "name":
        out(reply.operation_id or reply.command_id)
    else:
        out(sentence(reply))
        for event in reply.plan or ():
            out(f"  + {event.type}  {text(event.data)}")
    for notice in reply.notices:
        say(f"note: {notice}")


def sentence(reply: Reply) -> str:
    """Return what became of a command, in one line."""
    containers = f"  containers {text(list(reply.containers))}" if reply.containers else ""
    position = f"  position {reply.position:,}"
    match reply.status:
        case "accepted":
            return f"{reply.operation_id} accepted{containers}{position}"
        case "done":
            return f"done{containers}{position}"
        case "unchanged":
            return f"unchanged, it is so already{position}"
        case "planned":
            count = len(reply.plan or ())
            return f"planned, nothing was written; {count} events would be{position}"


async def show_all(
    query: str, body: Body, columns: Sequence[Column], *, at: At, how: Reading
) -> None:
    """Ask for a list and show it."""
    async with talk(at) as region:
        answer = good(await region.read(query, {**body, **since(how)}))
    page = Page(answer["items"], answer.get("position", 0))
    show_list(page, columns, how.look, lambda item: columns[0].text(item))


async def show_one(query: str, body: Body, key: str, *, at: At, how: Reading) -> None:
    """Ask for one thing and show it; `key` is the member that names it."""
    async with talk(at) as region:
        item = good(await region.read(query, {**body, **since(how)}))
    show_item(item, how.look, lambda one: text(one.get(key)))


def since(how: Reading) -> Body:
    """Return what a question says of how new its answer must be."""
    return given(min_position=how.min_position or None)
