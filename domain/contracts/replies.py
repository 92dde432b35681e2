"""What is said to an asker: a reply where it was taken, a problem where it was refused."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from domain.decider import Answered
from domain.facts import tag
from domain.messages import Accepted, ContainerId, Event, Refusal, Unchanged
from domain.plan import Forecast, Plan
from domain.problems import Problem, problem

PLAN_BYTES_MAX = 256 * 1024
"""Events of a plan are shown up to this size, so that a reply passes the bus's limit of 1 MiB."""
LINES_MAX = 250
"""Steps, moves, hosts and DNS windows of a forecast that are shown, of each."""

OUTCOME_BYTES_MAX = 768 * 1024
"""An outcome has at most this many bytes: with its headers it passes the bus's 1 MiB."""
DETAIL_SHOWN_MAX = 10_000
"""Characters that are left of the detail of a problem too large."""

Status = Literal["accepted", "done", "planned", "unchanged"]


class PlannedEvent(msgspec.Struct, frozen=True):
    """An event that a dry run would write."""

    type: str
    data: dict[str, Any]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Yes: what was begun, what is so now, or what would be.

    `accepted`: `operation_id` carries it on, or all of `operation_ids`; `done`: it is done;
    `unchanged`: it was so already; `planned`: a dry run, nothing was written, `plan` has what would
    be at once and `forecast` what would follow. `apply` is the command that does just this or is
    refused; `plan_name` is the plan that it names in `expect_plan`. `position` is that of the last
    event, for readers that want to see this one; `version` is that of what was named.
    """

    status: Status
    command_id: str
    operation_id: str = ""
    operation_ids: tuple[str, ...] = ()
    position: int = 0
    version: int = 0
    containers: tuple[ContainerId, ...] = ()
    notices: tuple[str, ...] = ()
    plan: tuple[PlannedEvent, ...] | UnsetType = UNSET
    plan_name: str | UnsetType = UNSET
    forecast: Forecast | UnsetType = UNSET
    apply: dict[str, Any] | UnsetType = UNSET


_encoder = msgspec.json.Encoder()


def reply_to(answered: Answered, command_id: str) -> Reply | Problem:
    """Return what the asker is told."""
    if isinstance(answered.answer, Refusal):
        return problem(answered.answer, command_id, answered.position)
    reply = _yes(answered.answer, answered, command_id)
    return reply if answered.plan is None else _planned(reply, answered.plan)


def _yes(answer: Accepted | Unchanged, answered: Answered, command_id: str) -> Reply:
    if isinstance(answer, Unchanged):
        return Reply(
            status="unchanged",
            command_id=command_id,
            position=answered.position,
            version=answer.version,
            notices=answer.notices,
        )
    return Reply(
        status="accepted" if answer.operation else "done",
        command_id=command_id,
        operation_id=answer.operation,
        operation_ids=answer.operations,
        position=answered.position,
        version=answer.version,
        containers=answer.containers,
        notices=answer.notices,
    )


def _planned(reply: Reply, plan: Plan) -> Reply:
    shown = tuple(_within(map(planned, plan.facts), PLAN_BYTES_MAX))
    notices = reply.notices
    if len(shown) < len(plan.facts):
        cut = f"the plan has {len(plan.facts):,} events, the first {len(shown):,} are here"
        notices = (*notices, cut)
    forecast, left_out = shortened(plan.forecast)
    return msgspec.structs.replace(
        reply,
        status="unchanged" if reply.status == "unchanged" else "planned",
        plan=shown,
        plan_name=plan.name,
        forecast=forecast,
        apply=msgspec.to_builtins(plan.command),
        notices=(*notices, *left_out),
    )


def shortened(forecast: Forecast) -> tuple[Forecast, tuple[str, ...]]:
    """Return the forecast with so many lines as a reply can carry, and what was left out."""
    told: list[str] = []
    for name in ("endings", "steps", "moves", "hosts", "dns"):
        lines = getattr(forecast, name)
        if len(lines) > LINES_MAX:
            first: dict[str, Any] = {name: lines[:LINES_MAX]}
            forecast = msgspec.structs.replace(forecast, **first)
            told.append(f"{name}: {len(lines):,} in all, the first {LINES_MAX} are here")
    return forecast, tuple(told)


def planned(fact: Event) -> PlannedEvent:
    """Return an event as it is shown: its name, and its fields without the name."""
    data = msgspec.to_builtins(fact)
    return PlannedEvent(data.pop("t", tag(fact)), data)


def _within(events: Iterable[PlannedEvent], size: int) -> Iterable[PlannedEvent]:
    for event in events:
        size -= len(_encoder.encode(event))
        if size < 0:
            return
        yield event


def within_bus(told: Reply | Problem) -> Reply | Problem:
    """Return what passes the bus: the same, or without what makes it too large, which is said."""
    size = len(_encoder.encode(told))
    if size <= OUTCOME_BYTES_MAX:
        return told
    if isinstance(told, Reply):
        lost = f"this answer had {size:,} bytes: its lists are left out; see the query command.show"
        return msgspec.structs.replace(
            told, operation_ids=(), containers=(), notices=(lost,), plan=UNSET, forecast=UNSET
        )
    left_out = len(_encoder.encode(told.facts))
    return msgspec.structs.replace(
        told, detail=told.detail[:DETAIL_SHOWN_MAX], facts={"left_out_bytes": left_out}
    )


def reply_body(answered: Answered, command_id: str) -> bytes:
    """Return the JSON of a `Reply` or a `Problem` that passes the bus."""
    told = reply_to(answered, command_id)
    body = _encoder.encode(told)
    return body if len(body) <= OUTCOME_BYTES_MAX else _encoder.encode(within_bus(told))
