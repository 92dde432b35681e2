"""`restow plan`: plans that were saved; looked at, made again, or applied as they are."""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from domain.contracts.replies import Reply
from restow.cli.exits import UsageError
from restow.cli.flags import HERE, PLAINLY, SIMPLY, Asking, At, Reading, noun
from restow.cli.output import as_json, out
from restow.cli.planned import show_plan
from restow.cli.talk import ask, sentence

plan = noun("plan", "Plans: saved by --dry-run -o json, and applied exactly so or not at all.")

File = Annotated[
    str,
    Parameter(
        help="What `--dry-run -o json` printed; - is standard input.", allow_leading_hyphen=True
    ),
]


def read(file: str) -> Reply:
    """Return a plan that was saved. Raises `UsageError` where it is none."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        saved = msgspec.json.decode(data, type=Reply)
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        raise UsageError(message) from error
    except msgspec.DecodeError as error:
        message = f"{file} is no plan: {error}"
        raise UsageError(message) from error
    if not isinstance(saved.apply, dict):
        message = f"{file} is no plan; make one with --dry-run -o json"
        raise UsageError(message)
    return saved


def command_in(saved: Reply) -> tuple[str, dict[str, Any]]:
    """Return the name and the body of the command that a plan is of."""
    body: dict[str, Any] = dict(saved.apply) if isinstance(saved.apply, dict) else {}
    return str(body.pop("type", "")), body


@plan.command(
    help_epilogue="For example:\n\n"
    "restow layer restart shop/app --dry-run -o json > plan.json\n\n"
    "restow plan apply plan.json"
)
async def apply(file: File, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Do what a plan says, or be refused (exit code 5) with what has changed since."""
    name, body = command_in(read(file))
    await ask(name, body, at=at, how=how)


@plan.command(help_epilogue="For example: restow plan again plan.json -o json")
async def again(file: File, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Make the plan anew, for the same command as things are now; nothing is written."""
    name, body = command_in(read(file))
    del body["expect_plan"]
    await ask(name, {**body, "dry_run": True}, at=at, how=how)


@plan.command(help_epilogue="For example: restow plan show plan.json")
def show(file: File, /, *, how: Reading = PLAINLY) -> None:
    """Show a plan that was saved; needs no connection."""
    saved = read(file)
    if how.output in {"table", "wide"}:
        out(sentence(saved))
        show_plan(saved)
    elif how.output == "name":
        out(str(saved.plan_name))
    else:
        out(as_json(saved) if how.output == "json" else msgspec.json.encode(saved).decode())
