"""Every query by its name, and how its answer becomes bytes that the bus can carry."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from domain.contracts.decoding import plain
from domain.contracts.explaining import explain
from domain.messages import Code, Refusal
from projections import answers, growths, rebalances
from projections import questions as q
from projections.answers import did_you_mean
from projections.lines import EngineLine, EventLine, LayerLine, Line
from projections.reads import Reads, command_key
from projections.triggers import FiringLine

QUESTION_BYTES_MAX = 64 * 1_024
ENVELOPE_BYTES = 512
"""Kept of a page for what is not lines."""

_encoder = msgspec.json.Encoder()

Found = Iterator[Line] | Line | Refusal


class Query(msgspec.Struct, frozen=True):
    """A question's shape and who answers it; for lists, what names a line in `after`."""

    shape: type[q.Question]
    answer: Callable[[Reads, Any], Found]
    cursor: Callable[[Any], str | int] | None = None


class Page(msgspec.Struct, frozen=True):
    """Lines, the position up to which they are true, and `after` for more, if there is more."""

    items: list[Raw]
    position: int
    next: str | int | UnsetType = UNSET


def name_of(line: Any) -> str:
    return str(line.id)


def layer_key(line: LayerLine) -> str:
    return f"{line.environment}/{line.name}"


def place_of(line: EventLine | FiringLine) -> int:
    return line.position


QUERIES: Mapping[str, Query] = {
    "host.list": Query(q.HostList, answers.hosts, name_of),
    "host.show": Query(q.HostShow, answers.host),
    "host.room": Query(q.HostRoom, growths.room),
    "environment.list": Query(q.EnvironmentList, answers.environments, name_of),
    "environment.show": Query(q.EnvironmentShow, answers.environment),
    "layer.list": Query(q.LayerList, answers.layers, layer_key),
    "layer.show": Query(q.LayerShow, answers.layer),
    "container.list": Query(q.ContainerList, answers.containers, name_of),
    "container.show": Query(q.ContainerShow, answers.container),
    "operation.list": Query(q.OperationList, answers.operations, name_of),
    "operation.show": Query(q.OperationShow, answers.operation),
    "migration.list": Query(q.MigrationList, answers.migrations, name_of),
    "migration.show": Query(q.MigrationShow, answers.migration),
    "tenant.list": Query(q.TenantList, answers.tenants, name_of),
    "tenant.show": Query(q.TenantShow, answers.tenant),
    "dead.list": Query(q.DeadList, answers.letters, name_of),
    "dead.show": Query(q.DeadShow, answers.letter),
    "host.feasibility": Query(q.HostFeasibility, answers.feasibility, name_of),
    "evacuation.list": Query(q.EvacuationList, answers.evacuations, name_of),
    "evacuation.show": Query(q.EvacuationShow, answers.evacuation),
    "rebalance.list": Query(q.RebalanceList, rebalances.rebalances, name_of),
    "rebalance.show": Query(q.RebalanceShow, rebalances.rebalance),
    "recovery.list": Query(q.RecoveryList, answers.recoveries, name_of),
    "recovery.show": Query(q.RecoveryShow, answers.recovery),
    "growth.list": Query(q.GrowthList, growths.growths, name_of),
    "growth.show": Query(q.GrowthShow, growths.growth),
    "trigger.list": Query(q.TriggerList, answers.triggers, name_of),
    "trigger.show": Query(q.TriggerShow, answers.trigger),
    "trigger.history": Query(q.TriggerHistory, answers.firings, place_of),
    "command.list": Query(q.CommandList, answers.commands, command_key),
    "command.show": Query(q.CommandShow, answers.command),
    "event.list": Query(q.EventList, answers.events, place_of),
    "status": Query(q.Status, answers.status),
}


def find(name: str) -> Query | Refusal:
    """Return the query of this name."""
    found = QUERIES.get(name)
    if found is not None:
        return found
    offer, near = did_you_mean(name, QUERIES)
    return Refusal(Code.REQUEST_INVALID, f"there is no query {name!r}{offer}", "", {"near": near})


def decode(query: Query, body: bytes) -> q.Question | Refusal:
    """Read a question from JSON; an empty body is an empty object."""
    if len(body) > QUESTION_BYTES_MAX:
        detail = f"the body has {len(body):,} bytes, at most {QUESTION_BYTES_MAX:,} are allowed"
        return Refusal(Code.REQUEST_TOO_LARGE, detail, "$", {"bytes": len(body)})
    try:
        return msgspec.json.decode(body or b"{}", type=query.shape)
    except msgspec.ValidationError as error:
        return explain(str(error), query.shape, plain(body or b"{}"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal(Code.REQUEST_INVALID, f"the body is not JSON: {error}", "$")


def answer(query: Query, reads: Reads, question: q.Question, bytes_max: int) -> bytes | Refusal:
    """Return the JSON of a `Page` or of one line, of at most `bytes_max` bytes, or a refusal."""
    found = query.answer(reads, question)
    if isinstance(found, Refusal):
        return found
    if isinstance(found, Line):
        return fitting(_encoder.encode(found), bytes_max)
    items, upto = cut(found, query, question, bytes_max - ENVELOPE_BYTES)
    if isinstance(question, q.EventList) and question.after is None:  # the latest, but in order
        items, upto = items[::-1], UNSET
    return fitting(_encoder.encode(Page(items, reads.position, upto)), bytes_max)


def cut(
    lines: Iterable[Line], query: Query, question: q.Question, bytes_max: int
) -> tuple[list[Raw], str | int | UnsetType]:
    """Return the lines that fit, at least one, and what names the last if there are more."""
    limit = question.limit if isinstance(question, q.Listing) else q.LIMIT_MAX
    items: list[Raw] = []
    last: str | int | UnsetType = UNSET
    for line in lines:
        body = _encoder.encode(line)
        bytes_max -= len(body) + 1
        if items and (len(items) == limit or bytes_max < 0):
            return items, last
        items.append(Raw(body))
        last = query.cursor(line) if query.cursor else UNSET
    return items, UNSET


def fitting(body: bytes, bytes_max: int) -> bytes | Refusal:
    """Return the body if the bus can carry it."""
    if len(body) <= bytes_max:
        return body
    detail = f"the answer has {len(body):,} bytes, the bus takes {bytes_max:,}"
    return Refusal(Code.REQUEST_TOO_LARGE, detail, "$", {"bytes": len(body)})


def status(reads: Reads, engines: tuple[EngineLine, ...]) -> bytes:
    """Return the JSON of the region's status, as far as its engines answered."""
    return _encoder.encode(answers.status(reads, q.Status(), engines))
