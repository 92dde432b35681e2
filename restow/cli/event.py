"""`restow event`: what happened, as it happens, and why."""

import asyncio
import sys
from functools import partial
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from domain.nouns import STORIES, noun_by, story_by
from domain.problems import Problem
from domain.streams import NOUNS
from restow.cli.exits import UsageError
from restow.cli.flags import HERE, LATEST, NOW, At, Latest, Then, noun
from restow.cli.output import (
    Column,
    Item,
    Page,
    age,
    ago,
    as_json,
    field,
    out,
    show_item,
    show_list,
    text,
)
from restow.cli.redraw import patiently
from restow.cli.spelling import Body, given
from restow.cli.talk import Reader, good, reading, since, talk

event = noun("event", "What happened, and why.")

TAIL_S = 0.5
LIMIT_DEFAULT = 50
KIND = Parameter(name="--type", help="Only this type, such as container.restarted.")
CHAIN_MAX = 20
"""Links of a chain of causes that are followed."""

COLUMNS = (
    field("POSITION", "position"),
    age("AGE", "at"),
    field("STREAM", "stream"),
    field("EVENT", "type"),
    Column("DATA", lambda item: text(item.get("data"))),
    field("VERSION", "version", wide=True),
    field("ACTOR", "actor", wide=True),
    field("ASK", "ask", wide=True),
)


def stream_of(name: str) -> str:
    """Return the stream that a name means: `node17` is `container.node17`. Raises `UsageError`."""
    if name.partition(".")[0] in NOUNS and "." in name:
        return name
    noun = noun_by(name)
    if noun:
        return f"{noun}.{name}"
    message = f"{name!r} names no stream; write node17, op3, mv5, host.h01 or environment.shop"
    raise UsageError(message)


@event.command(
    name="list", help_epilogue="For example:\n\nrestow event list node17\n\nrestow event list op3"
)
async def list_events(
    name: str | None = None,
    /,
    *,
    kind: Annotated[str | None, KIND] = None,
    limit: Annotated[int, Parameter(help="At most so many.")] = LIMIT_DEFAULT,
    at: At = HERE,
    how: Then = NOW,
) -> None:
    """List the latest events, oldest first: all, or those of one stream."""
    body = given(stream=stream_of(name) if name else None, type=kind, limit=limit)
    async with reading(at, how) as region:
        answer = good(await region.read("event.list", {**body, **since(how)}))
    page = Page(answer["items"], answer["position"])
    show_list(page, COLUMNS, how.look, _position)


def _position(item: Item) -> str:
    return text(item["position"])


@event.command(help_epilogue="For example: restow event tail -o jsonl")
async def tail(name: str | None = None, /, *, at: At = HERE, how: Latest = LATEST) -> None:
    """Print events as they happen, until Ctrl-C: all, or those of one stream.

    Where the read side goes away it is waited for, a minute long, and no event is left out.
    """
    body = given(stream=stream_of(name) if name else None)
    async with talk(at) as region:
        position = good(await region.read("status", since(how)))["position"]
        while True:
            asked = partial(region.read, "event.list", {**body, "after": position})
            answer = await patiently(asked)
            for line in answer["items"]:
                out(_line(line, how))
                position = line["position"]
            sys.stdout.flush()  # whoever reads along wants it now
            if not answer["items"]:
                position = max(position, answer["position"])
                await asyncio.sleep(TAIL_S)


def _line(line: Item, how: Latest) -> str:
    if how.output in {"json", "jsonl"}:
        return msgspec.json.encode(line).decode()
    if how.output == "name":
        return _position(line)
    who = f"  {line['actor']}" if how.output == "wide" else ""
    return f"{line['position']:>8}  {line['stream']}  {line['type']}  {text(line['data'])}{who}"


@event.command(help_epilogue="For example: restow event show 1234 -o json")
async def show(position: int, /, *, at: At = HERE, how: Then = NOW) -> None:
    """Show the event at a position."""
    async with reading(at, how) as region:
        found = await _event_at(region, position, since(how))
    show_item(found, how.look, _position)


async def _event_at(region: Reader, position: int, how_new: Body) -> Item:
    body = {"after": max(0, position - 1), "limit": 1, **how_new}
    items = good(await region.read("event.list", body))["items"]
    if not items or items[0]["position"] != position:
        message = f"there is no event at position {position} that is kept here"
        raise UsageError(message)
    return dict(items[0])


@event.command(help_epilogue="For example:\n\nrestow event why node17\n\nrestow event why 1234")
async def why(name: str, /, *, at: At = HERE, how: Then = NOW) -> None:
    """Say what led to an event (by its position), or to the newest event of a stream.

    Each link is what the one before it came from: an event, an operation, the command.
    """
    async with reading(at, how) as region:
        if name.isdigit():
            first = await _event_at(region, int(name), since(how))
        else:
            first = await _newest(region, stream_of(name), since(how))
        chain = await _chain(region, first)
    if how.output in {"json", "jsonl", "name"}:
        out(as_json(chain))
        return
    for depth, link in enumerate(chain):
        out(f"{'  ' * depth}{_told(link)}")


async def _newest(region: Reader, stream: str, how_new: Body) -> Item:
    items = good(await region.read("event.list", {"stream": stream, "limit": 1, **how_new}))[
        "items"
    ]
    if not items:
        message = f"no event of {stream} is kept here"
        raise UsageError(message)
    return dict(items[0])


async def _chain(region: Reader, first: Item) -> list[dict[str, Any]]:
    """Follow causes from an event to whoever asked."""
    chain: list[dict[str, Any]] = [{"link": "event", **first}]
    seen: set[str] = set()
    for _ in range(CHAIN_MAX):
        link = await _cause(region, chain[-1], seen)
        if link is None:
            break
        chain.append(link)
    return chain


async def _cause(region: Reader, link: Item, seen: set[str]) -> dict[str, Any] | None:
    """Return what a link came from, and note it as seen."""
    if link["link"] == "command":
        return None
    ask = str(link["ask"])
    for query, body, kind in (
        ("command.show", {"id": ask.partition("/")[0]}, "command"),
        *((f"{kind}.show", {kind: name}, kind) for kind, name in _sagas(link)),
    ):
        key = f"{kind} {next(iter(body.values()))}"
        if key in seen:
            continue
        seen.add(key)
        found = await region.read(query, body)
        if not isinstance(found, Problem):
            return {"link": kind, **found}
    return None


def _sagas(link: Item) -> list[tuple[str, str]]:
    """Return the sagas that an event names as its own."""
    fields = link.get("data", {})
    names = [str(fields.get(key, "")) for key in ("saga", *STORIES)]
    names.append(str(link.get("stream", "")).partition(".")[2])
    return [(story_by(name), name) for name in names if story_by(name)]


def _told(link: Item) -> str:
    """Return one link in words."""
    at = link.get("at") or link.get("requested_at")
    when = f", {ago(at)} ago" if at else ""
    reason = f', because "{link["reason"]}"' if link.get("reason") else ""
    match link["link"]:
        case "event":
            return f"{link['type']} at position {link['position']}{when}: {text(link['data'])}"
        case "command":
            return f"command {link['command']} by {link['actor']}{when}{reason}"
        case kind:
            return f"{kind} {link['id']} of {link['actor']}{when}{reason}"
