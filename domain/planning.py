"""Makes plans, and holds a command to the plan that it names.

A plan is not kept anywhere: it is made again when it is to be applied. Where the same comes out,
numbers of new things and times apart, it is done; otherwise the asker is told what has changed.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec
from msgspec.structs import replace

from domain.decider import Ask
from domain.fleet import Fleet
from domain.forecast import foretell
from domain.lately import Change, Lately
from domain.messages import Answer, Code, Event, Instant, PublicCommand, Refusal
from domain.plan import Forecast, Plan, bind, bond_of, plain
from domain.playing import CarryOut, Play

CHANGES_TOLD_MAX = 8
"""Changes that a refusal names; of more it only says how many."""
CHANGES_READ_MAX = 2_000
"""Changes that are looked through for those that matter."""
NAMING = ("environment", "container", "host", "source", "target", "operation", "migration")
"""Fields by which facts and commands name what they are about."""


class Foreseen(msgspec.Struct, frozen=True):
    """What an ask would come to: its answer, what it writes at once, and the whole story."""

    answer: Answer
    facts: tuple[Event, ...] = ()
    story: tuple[Event, ...] = ()
    forecast: Forecast | None = None


def foresee(fleet: Fleet, carry_out: CarryOut, ask: Ask, at: Instant) -> Foreseen:
    """Play `ask` out on a fleet that is being tried out; the caller puts it back."""
    play = Play(fleet, carry_out, at)
    answer, events = carry_out(ask, at)
    if isinstance(answer, Refusal):
        return Foreseen(answer)
    facts = tuple(event.fact for event in events)
    play.out(facts)
    return Foreseen(answer, facts, tuple(play.story), foretell(fleet, play))


def plan_of(seen: Foreseen, command: PublicCommand, position: int) -> Plan | None:
    """Return the plan of what was foreseen at `position`; None for what would be refused."""
    if seen.forecast is None:
        return None
    name = bind(position, command, seen.facts, seen.story).name
    return Plan(name, seen.facts, seen.forecast, replace(plain(command), expect_plan=name))


def not_as_planned(ask: Ask, seen: Foreseen, position: int, lately: Lately) -> Refusal | None:
    """Refuse an ask that would not do what the plan says that it names."""
    command = ask.command
    if ask.expect_plan is None or not isinstance(command, PublicCommand):
        return None
    planned = bond_of(ask.expect_plan)
    now = bind(planned.position, command, seen.facts, seen.story)
    if planned.position > position or planned.command != now.command:
        return strange(ask.expect_plan, position)
    if planned == now and seen.forecast is not None:
        return None
    changes = relevant(seen, command, lately, planned.position)
    return outdated(planned.position, position, seen.answer, changes)


def strange(name: str, position: int) -> Refusal:
    """Refuse a plan that was made for another command, or elsewhere."""
    return Refusal(
        Code.REQUEST_INVALID,
        f"plan {name} was not made here for this command; send the command as the dry run gave it,"
        " or make a plan of this one (dry_run=true)",
        "$.expect_plan",
        {"position": position},
    )


def outdated(planned_at: int, position: int, answer: Answer, changes: Sequence[Change]) -> Refusal:
    """Say that something else would be done now, and what has changed since."""
    told = [change.line for change in changes[:CHANGES_TOLD_MAX]]
    more = len(changes) - len(told)
    since = f"since then: {'; '.join(told)}" if told else "only time has passed since then"
    if not told and position > planned_at:
        since = "what has changed since then is not remembered any more"
    facts: dict[str, str | int | list[str]] = {
        "planned_at": planned_at,
        "position": position,
        "changed": told,
    }
    now = "would do something else"
    if isinstance(answer, Refusal):
        now = f"would now be refused ({answer.detail})"
        facts["now"] = str(answer.code)
    return Refusal(
        Code.PLAN_OUTDATED,
        f"what was planned at position {planned_at:,} {now}; {since}"
        + (f"; and {more:,} more" if more else ""),
        "$.expect_plan",
        facts,
    )


def relevant(
    seen: Foreseen, command: PublicCommand, lately: Lately, position: int
) -> Sequence[Change]:
    """Return what has changed of what the plan is about; if nothing, all that has changed."""
    every = list(islice(lately.since(position), CHANGES_READ_MAX))
    names = set(named(command))
    for fact in seen.story:
        names.update(named(fact))
    ours = [change for change in every if names.intersection(ids(change.streams))]
    return ours or every


def named(one: Event | PublicCommand) -> Iterable[str]:
    """Give the names of what a fact or a command is about."""
    for field in NAMING:
        name = getattr(one, field, None)
        if isinstance(name, str):
            yield name


def ids(streams: Iterable[str]) -> Iterable[str]:
    return (stream.partition(".")[2] for stream in streams)
