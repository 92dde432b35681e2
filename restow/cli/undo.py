"""`restow audit undo`: the commands that bring back what was intended before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from domain.intents import THERE as IS_THERE
from domain.inverses import Step
from domain.messages import REASON_MAX, Code, Refusal
from domain.nouns import story_by
from domain.problems import Exit, problem
from domain.undoing import Asked, Undoing
from domain.waysback import TAKING_AWAY, Undone, ways_back
from handlers.journal.reader import Head
from projections.aggregates import spelled as as_json
from projections.moments import NOW
from projections.reaching import Reaching
from restow.cli.exits import EndedError, ProblemError, UsageError
from restow.cli.flags import ASKING, SHOWN, Showing
from restow.cli.history import ALL_TIME, BEGINNING, THERE, Between, There, journal, short, when
from restow.cli.output import Item, ago, on_terminal, out, say, show_item
from restow.cli.spelling import milliseconds
from restow.cli.sure import Yes, meant, somebody
from restow.cli.talk import VERBS, good, sentence, talk
from restow.cli.typed import typed
from restow.cli.watch import watch
from restow.talk import Conversation
from restow.undoing import Rehearsed, Target, answer, between, followed, rehearse, single, spelled

ASKED_SHOWN = 5
"""Commands of a span that are named; of more it is said how many."""


@Parameter(name="*", group=ASKING)
@dataclass(frozen=True, kw_only=True)
class Applying:
    """Whether the commands are sent, and how."""

    apply: bool = False
    """Send the commands, one after the other: each is planned first, and held to its plan."""
    yes: Yes = False
    reason: str | None = None
    """Why; without it, that it undoes, and what."""
    timeout: str = "10m"
    """Longest wait for each command."""


LOOKING = Applying()


async def undo(
    what: Annotated[
        str | None, Parameter(help="A command's id, an operation (op3, mv5, ev1), or a position.")
    ] = None,
    /,
    *,
    span: Between = ALL_TIME,
    applying: Applying = LOOKING,
    at: There = THERE,
    how: Showing = SHOWN,
) -> None:
    """Say which commands undo a command, or all that was asked between --from and --to.

    Undone is what was intended: hosts, layers, sizes, places, triggers, limits. What somebody else
    has changed since is left alone. The commands are tried in a fork first; --apply sends them.
    """
    async with journal(at) as reaching:
        undoing, position = await followed(reaching, await target(reaching, what, span), NOW)
        going_on = undoing.going_on()
        if going_on:
            raise ProblemError(problem(busy(going_on)))
        told = ways_back(undoing)
        tried = await rehearse(reaching, undoing, told.steps, position)
    show(undoing, told, tried, position, how)
    if not tried.good:
        say("error: not all of it would be done; nothing was sent")
        raise EndedError(Exit.REFUSED)
    if applying.apply:
        await applied(undoing, told.steps, applying, at)
    if told.left:
        raise EndedError(Exit.DIFFERENT)


def show(undoing: Undoing, told: Undone, tried: Rehearsed, position: int, how: Showing) -> None:
    """Print what is undone, how, and what is not."""
    if how.output == "name":
        for step in told.steps:
            out(line_of(step))
    elif how.output in {"json", "jsonl"}:
        show_item(item(undoing, told, tried, position), how.look, str)
    else:
        for line in lines(undoing, told, tried, position):
            out(line)


async def target(reaching: Reaching[Head], what: str | None, span: Between) -> Target:
    """Return what is meant. Raises `UsageError`, `ProblemError` where there is no such thing."""
    if (what is None) == (span.begin is None):
        message = "say what: a command's id, op3, a position; or --from a moment (and --to)"
        raise UsageError(message)
    if what is None:
        return await between(reaching, when(span.begin, BEGINNING), when(span.end))
    noun = story_by(what)
    found = await single(reaching, what, f"{noun}.{what}" if noun else "", NOW)
    if found is None:
        detail = f"the journal has no command {what}, and nothing that is called so; see"
        detail += " `restow command asked -o wide` and `restow op list`"
        raise ProblemError(problem(Refusal(Code.COMMAND_NOT_FOUND, detail)))
    return found


def busy(going_on: Sequence[str]) -> Refusal:
    """Refuse to undo what is not over."""
    name = going_on[0].partition(".")[2]
    more = f" (and {len(going_on) - 1} more)" if len(going_on) > 1 else ""
    wait = f"restow {VERBS.get(name[:2], 'op')} watch {name}"
    detail = f"{name}{more} is not over: wait for it ({wait}) or end it, then undo"
    return Refusal(Code.OPERATION_BUSY, detail, "", {"going_on": len(going_on)})


async def applied(undoing: Undoing, steps: Sequence[Step], applying: Applying, at: There) -> None:
    """Send the commands. Raises as `ask` where one is not done; those after it are not sent."""
    taken = sum(isinstance(step.command, TAKING_AWAY) for step in steps)
    if not applying.yes and (taken or on_terminal()):
        somebody(f"undo with {taken} that take something away")
        meant(f"send {counted(len(steps), 'command')}")
    reason = applying.reason or why(undoing)
    patience_ms = milliseconds(applying.timeout)
    async with talk(at) as region:
        for number, step in enumerate(steps, 1):
            say(f"{number} of {len(steps)}: {line_of(step)}")
            await send(region, step, reason, patience_ms)


async def send(region: Conversation, step: Step, reason: str, patience_ms: int) -> None:
    """Plan a command, send it held to that plan, and wait until what it begins is over."""
    name, body = spelled(step.command)
    asked = {**body, "reason": reason}
    plan = good(await region.ask(name, {**asked, "dry_run": True})).plan_name
    named = {"expect_plan": plan, "id": f"undo-{plan}"}
    reply = good(await region.ask(name, {**asked, **named}))
    out(sentence(reply))
    if reply.status == "accepted":
        for story in reply.operation_ids or (reply.operation_id,):
            await watch(region, story, reply.position, patience_ms)


def why(undoing: Undoing) -> str:
    """Return the reason that is kept with the events, where nobody gave another."""
    first = undoing.asked[0]
    more = f" and {len(undoing.asked) - 1} more" if len(undoing.asked) > 1 else ""
    return f"undo of {first.command} {first.ask}{more}"[:REASON_MAX]


def lines(undoing: Undoing, told: Undone, tried: Rehearsed, position: int) -> list[str]:
    """Return what is undone, how, and what is not, in words."""
    told_of = [f"undo {asked(one)}" for one in undoing.asked[:ASKED_SHOWN]]
    more = len(undoing.asked) - ASKED_SHOWN
    if more > 0:
        told_of.append(f"and {more:,} more")
    if not undoing.asked:
        told_of = ["nobody asked for anything then"]
    if not told.steps:
        left = "" if told.left else f": all is as it was, as of position {position:,}"
        told_of.append(f"  nothing to send{left}")
    for number, (step, why_not) in enumerate(zip(told.steps, tried.against, strict=True), 1):
        told_of += [f"  {number}  {line_of(step)}", *(f"       {one}" for one in parts(step))]
        if why_not:
            told_of.append(f"       {why_not}")
    if told.left:
        told_of.append("left as it is:")
        told_of += [
            f"  {one.of}{f' {one.member}' if one.member else ''}: {one.why}" for one in told.left
        ]
    if told.steps:
        told_of.append(f"tried in a fork of position {position:,}: {outcome(tried)}")
    return told_of


def outcome(tried: Rehearsed) -> str:
    """Return how it went in the fork."""
    failed = sum(map(bool, tried.against))
    return f"{failed} of {len(tried.against)} not done" if failed else "each is done"


def asked(one: Asked) -> str:
    because = f' ("{one.reason}")' if one.reason else ""
    return (
        f"{one.command} by {one.actor}{because}, {ago(one.at)} ago, up to position {one.position:,}"
    )


def parts(step: Step) -> list[str]:
    """Return what a command brings back, and what to know of it."""
    told = [
        f"{one.of} {one.member} {value(one.member, one.now)} -> {value(one.member, one.then)}"
        for one in step.back
    ]
    return [*told, *([f"note: {step.note}"] if step.note else [])]


def value(member: str, one: Any) -> str:
    """Return an intent so that a line holds it."""
    if member == IS_THERE:
        return "gone" if one is None else "there"
    return short(as_json(one))


def line_of(step: Step) -> str:
    """Return how a command is typed."""
    return typed(*spelled(step.command))


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def item(undoing: Undoing, told: Undone, tried: Rehearsed, position: int) -> Item:
    """Return all of it as the read API tells it, and how each command is typed."""
    whole: Item = msgspec.to_builtins(answer(undoing, told, tried, position))
    commands: list[Item] = [
        {"type": one["type"], "body": one["body"], "cli": typed(one["type"], one["body"]), **one}
        for one in whole["commands"]
    ]
    return {**whole, "commands": commands}
