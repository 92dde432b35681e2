"""`restow command`: every command there is, and any of them sent as JSON."""

import sys
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from domain.contracts import COMMANDS, unknown_command
from domain.contracts.catalogue import CommandContract
from domain.problems import problem
from restow.cli.exits import ProblemError, UsageError
from restow.cli.flags import HERE, NOW, SHOWN, SIMPLY, Asking, At, Showing, Then, noun
from restow.cli.output import Item, Page, age, field, out, show_item, show_list, text
from restow.cli.spelling import given
from restow.cli.talk import ask, good, reading, since

command = noun("command", "Every command there is; send one as JSON.")

COLUMNS = (
    field("COMMAND", "name"),
    field("CLI", "cli"),
    field("SUMMARY", "summary"),
    field("ERRORS", "errors", wide=True),
    field("SINCE", "since", wide=True),
)

ASKED = (
    age("AGE", "at"),
    field("COMMAND", "command"),
    field("ANSWER", "answer"),
    field("OPERATIONS", "operations"),
    field("POSITION", "position"),
    field("CODE", "code"),
    field("DETAIL", "detail"),
    field("ID", "id", wide=True),
    field("ACTOR", "actor", wide=True),
    field("EVENTS", "events", wide=True),
    field("REASON", "reason", wide=True),
)
LIMIT_DEFAULT = 50

AnswerKind = Literal["accepted", "done", "unchanged", "refused"]


def _line(contract: CommandContract) -> Item:
    return {
        "name": contract.name,
        "cli": contract.cli,
        "summary": contract.summary,
        "errors": [str(code) for code in contract.errors],
        "since": contract.since,
    }


@command.command(name="list", help_epilogue="For example: restow command list -o json")
def list_commands(*, how: Showing = SHOWN) -> None:
    """List every command of the bus; needs no connection."""
    items = [_line(contract) for contract in COMMANDS.values()]
    show_list(Page(items), COLUMNS, how.look, lambda item: str(item["name"]))


@command.command(help_epilogue="For example: restow command show layer.scale")
def show(name: str, /, *, how: Showing = SHOWN) -> None:
    """Show what a command means, its errors, and an example that can be sent."""
    contract = COMMANDS.get(name)
    if contract is None:
        raise ProblemError(problem(unknown_command(name)))
    example = msgspec.to_builtins(contract.example)
    example.pop("type", None)
    if how.output in {"json", "jsonl", "name"}:
        show_item({**_line(contract), "text": contract.text, "example": example}, how.look, _name)
        return
    out(f"{name}: {contract.text}\n")
    out(f"errors   {', '.join(str(code) for code in contract.errors)}")
    out(f"example  restow command send {name} '{msgspec.json.encode(example).decode()}'")


def _name(item: Item) -> str:
    return str(item["name"])


Json = Annotated[
    str, Parameter(help="A JSON object; - is standard input.", allow_leading_hyphen=True)
]


@command.command(
    help_epilogue="For example:\n\n"
    """restow command send layer.scale '{"environment":"shop","layer":"app","count":6}'"""
    "\n\nrestow command send environment.create - <shop.json"
)
async def send(name: str, body: Json, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Send a command as JSON; `-` reads it from standard input. Nothing is checked on this side."""
    try:
        fields = msgspec.json.decode(sys.stdin.read() if body == "-" else body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        message = f"the body is no JSON object: {error}"
        raise UsageError(message) from error
    await ask(name, fields, at=at, how=how)


@command.command(help_epilogue="For example: restow command asked -o wide")
async def asked(
    *,
    answer: Annotated[AnswerKind | None, Parameter(help="Only those answered so.")] = None,
    limit: Annotated[int, Parameter(help="At most so many.")] = LIMIT_DEFAULT,
    at: At = HERE,
    how: Then = NOW,
) -> None:
    """List the latest commands that were asked, each with its one answer, oldest first."""
    body = given(answer=answer, limit=limit)
    async with reading(at, how) as region:
        found = good(await region.read("command.list", {**body, **since(how)}))
    page = Page(found["items"][::-1], found["position"])
    show_list(page, ASKED, how.look, lambda item: text(item["id"]))
