"""One conversation with a region: commands asked, questions put, answers shown."""

import sys
import time
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import msgspec

from domain.contracts.replies import Reply
from domain.messages import Code, Refusal
from domain.problems import Problem, problem
from handlers.bus import BusUnavailableError
from restow.cli.exits import ProblemError, UsageError
from restow.cli.flags import Asking, At, Latest, Reading, Then
from restow.cli.moments import moment
from restow.cli.output import (
    Column,
    Item,
    Page,
    as_json,
    on_terminal,
    out,
    say,
    show_item,
    show_list,
    text,
)
from restow.cli.planned import as_typed, show_plan
from restow.cli.redraw import redraw
from restow.cli.spelling import Body, given, milliseconds
from restow.cli.watch import watch
from restow.logs import quiet
from restow.settings import NoRegionError, Region, SettingsError, find_region, store_url
from restow.talk import Conversation
from restow.talk import talk as conversation

T = TypeVar("T")

LINES_A_PAGE = 1_000
EVENTS_SHOWN_MAX = 12
"""Events of a plan that a table shows."""
CONNECT_S = 4.0
"""How long someone who types waits for a connection."""

VERBS = {"ev": "evacuation", "rb": "rebalance", "rc": "recovery"}
"""Nouns under which what goes on is watched; all others are operations to the one who types."""


SANDBOX: ContextVar[Conversation | None] = ContextVar("sandbox", default=None)
"""Who is spoken to instead of a region, within `restow fork`."""


@asynccontextmanager
async def talk(at: At) -> AsyncGenerator[Conversation]:
    """Return a conversation with the region that is meant. Raises as `region_of`, `reachable`."""
    sandbox = SANDBOX.get()
    if sandbox is not None:
        yield sandbox
        return
    region = region_of(at)
    with reachable(region):
        async with conversation(region, within_s=CONNECT_S) as said:
            yield said


@contextmanager
def reachable(region: Region) -> Generator[None]:
    """Be quiet on the bus. Raises `ProblemError` where it cannot be reached."""
    quiet()
    try:
        yield
    except BusUnavailableError as error:
        away = Refusal(Code.BUS_UNAVAILABLE, f"{error} (named by {region.source})")
        raise ProblemError(problem(away)) from error


def region_of(at: At) -> Region:
    """Return the region that is meant.

    Raises `UsageError` where what was said cannot be used, `ProblemError` where nothing was.
    """
    try:
        return find_region(at.url, at.prefix)
    except NoRegionError as error:
        raise ProblemError(problem(Refusal(Code.BUS_UNAVAILABLE, str(error)))) from error
    except SettingsError as error:
        raise UsageError(str(error)) from error


def store_of(said: str | None) -> str | None:
    """Read where the views are kept, None: in files. Raises `UsageError`."""
    try:
        return store_url(said)
    except SettingsError as error:
        raise UsageError(str(error)) from error


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
        if reply.status == "accepted":
            await _follow(region, reply, how, patience_ms)


async def _follow(region: Conversation, reply: Reply, how: Asking, patience_ms: int) -> None:
    """Wait for all that was begun, one after the other, or say how to watch it.

    In a sandbox all of it is over, as far as it goes, when it is answered.
    """
    if SANDBOX.get() is not None:
        return
    waits = on_terminal() if how.wait is None else how.wait
    if not waits:
        if how.output in {"table", "wide"}:
            noun = VERBS.get(reply.operation_id[:2], "op")
            say(f"  restow {noun} watch {reply.operation_id}")
        return
    for name in reply.operation_ids or (reply.operation_id,):
        await watch(region, name, reply.position, patience_ms)


def show_reply(reply: Reply, how: Asking) -> None:
    """Print the answer to a command in the format that is wanted."""
    if how.output == "json":
        out(as_json(reply))
    elif how.output == "jsonl":
        out(msgspec.json.encode(reply).decode())
    elif how.output == "name":
        planned = reply.plan_name if isinstance(reply.plan_name, str) else ""
        out(planned or reply.operation_id or reply.command_id)
    else:
        out(sentence(reply))
        show_events(reply, None if how.output == "wide" else EVENTS_SHOWN_MAX)
        show_plan(reply)
        if reply.apply:
            say(f"  apply it  {as_typed(reply)}")
    for notice in reply.notices:
        say(f"note: {notice}")


def show_events(reply: Reply, most: int | None) -> None:
    """Print the events that a dry run would write at once, a line for each."""
    events = reply.plan or ()
    for event in events[:most]:
        out(f"  + {event.type}  {text(scalars(event.data))}")
        for part in parts(event.data):
            out(f"      {part}")
    if most is not None and len(events) > most:
        out(f"  + {len(events) - most:,} more, see -o wide")


def scalars(data: Item) -> dict[str, Any]:
    """Return the fields that fit on a line: neither lists nor objects."""
    return {name: value for name, value in data.items() if not isinstance(value, list | dict)}


def parts(data: Item) -> Iterator[str]:
    """Give each move of a plan: what it takes along, and from where to where."""
    moves = (*data.get("moves", ()), *data.get("plan", ()))
    for move in moves:
        if "source" not in move:
            continue
        route = f"{move['container']} {move['source']} -> {move['target']}"
        yield f"{route}, {move['cloudlets']} cloudlets"


def sentence(reply: Reply) -> str:
    """Return what became of a command, in one line."""
    containers = f"  containers {text(list(reply.containers))}" if reply.containers else ""
    position = f"  position {reply.position:,}"
    match reply.status:
        case "accepted":
            names = " ".join(reply.operation_ids or (reply.operation_id,))
            return f"{names} accepted{containers}{position}"
        case "done":
            return f"done{containers}{position}"
        case "unchanged":
            return f"unchanged, it is so already{position}"
        case "planned":
            count = len(reply.plan or ())
            events = "1 event" if count == 1 else f"{count} events"
            return f"planned, nothing was written; {events} would be{position}"


class Reader(Protocol):
    """Answers questions: about now, or about then."""

    async def read(self, query: str, body: Mapping[str, Any]) -> dict[str, Any] | Problem: ...


@asynccontextmanager
async def reading(at: At, how: Then) -> AsyncGenerator[Reader]:
    """Return who answers as of the moment that is wanted.

    Raises as `talk`, and `UsageError` where flags contradict each other.
    """
    if how.at is None:
        async with talk(at) as said:
            yield said
        return
    if how.min_position:
        message = "--at is about the past, --min-position about what is to come: give one"
        raise UsageError(message)
    region = region_of(at)
    when = moment(how.at, time.time_ns() // 1_000_000)
    from restow.past import past  # noqa: PLC0415 - it brings placement along, which takes a moment

    with reachable(region):
        async with past(region, when, within_s=CONNECT_S) as then:
            for note in then.notes:
                say(f"note: {note}")
            if when.position is not None and then.position < when.position:
                say(f"note: as of position {then.position}, the last one before {when.position}")
            yield then


async def show_all(
    query: str, body: Body, columns: Sequence[Column], *, at: At, how: Reading
) -> None:
    """Ask for a list and show it."""
    changing(how)
    name = columns[0].text

    def draw(page: Page) -> None:
        show_list(page, columns, how.look, name)

    async with reading(at, how) as region:
        page = good(await read_all(region, query, {**body, **since(how)}))
        draw(page)
        if how.watch:
            sys.stdout.flush()
            await redraw(page, lambda: read_all(region, query, body), draw, how.look, name)


async def read_all(region: Reader, query: str, body: Body) -> Page | Problem:
    """Return all lines of a list, page by page; the position is that of the last page."""
    items: list[Item] = []
    after: Body = {}
    while True:
        answer = await region.read(query, {**body, "limit": LINES_A_PAGE, **after})
        if isinstance(answer, Problem):
            return answer
        items += answer["items"]
        if "next" not in answer:
            return Page(items, answer["position"])
        after = {"after": answer["next"]}


async def show_one(query: str, body: Body, key: str, *, at: At, how: Reading) -> None:
    """Ask for one thing and show it; `key` is the member that names it."""
    changing(how)

    def name(item: Item) -> str:
        return text(item.get(key))

    def draw(page: Page) -> None:
        show_item(page.items[0], how.look, name)

    async with reading(at, how) as region:
        page = Page([good(await region.read(query, {**body, **since(how)}))])
        draw(page)

        async def again() -> Page | Problem:
            found = await region.read(query, body)
            return found if isinstance(found, Problem) else Page([found])

        if how.watch:
            sys.stdout.flush()
            await redraw(page, again, draw, how.look, name)


def changing(how: Reading) -> None:
    """Raise `UsageError` where what cannot change is to be watched."""
    if how.watch and how.at is not None:
        message = "--at is about the past, which does not change: it does not go with --watch"
        raise UsageError(message)


def since(how: Latest) -> Body:
    """Return what a question says of how new its answer must be."""
    return given(min_position=how.min_position or None)
