"""What is said in Restow: ids and units, and the bases of commands, events and refusals.

Everything that crosses a border (bus, journal, process) is one of the values below. Units are
part of the type: cloudlets, gibibytes, milliseconds. A cloudlet is 128 MiB of memory and 400 MHz
of processor (product.md, "Words and units").
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from string import ascii_lowercase
from typing import Annotated, NewType, TypeVar

import msgspec
from msgspec import Meta

N = TypeVar("N", bound=str)

AskId = NewType("AskId", str)
HostId = NewType("HostId", str)
EnvironmentId = NewType("EnvironmentId", str)
LayerName = NewType("LayerName", str)
ContainerId = NewType("ContainerId", str)
OperationId = NewType("OperationId", str)
MigrationId = NewType("MigrationId", str)
RecoveryId = NewType("RecoveryId", str)
OrderId = NewType("OrderId", str)
EvacuationId = NewType("EvacuationId", str)
GrowthId = NewType("GrowthId", str)
TriggerId = NewType("TriggerId", str)
RebalanceId = NewType("RebalanceId", str)
Tenant = NewType("Tenant", str)
DeadId = NewType("DeadId", str)

Instant = NewType("Instant", int)
"""Milliseconds since 1970-01-01T00:00:00Z. The domain is told the time; it never asks for it."""

MEMORY_OF_A_CLOUDLET_MIB = 128
CPU_OF_A_CLOUDLET_MHZ = 400
CLOUDLETS_MAX = 4_096
COUNT_MAX = 1_000
DELAY_DEFAULT_S = 30
DELAY_MAX_S = 300
MIGRATION_DEADLINE_S = 30
REASON_MAX = 500
POSITION_MAX = 999_999_999_999
"""Of a journal; no stream has a higher version."""
REMEMBER_MS = 24 * 60 * 60 * 1_000
"""How long the answer to an ask is remembered, and the longest that an ask may be late."""

ROUTING = "routing"
"""The addressee of orders to DNS and balancer, which no host may be called."""

INTEGER_MAX = 10**15
"""No whole number from outside is without a bound: JSON has no end of them, and one of 65 bits
cannot be stored."""

LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z"
"""No pattern ends with `$`, which in Python also matches before a line break at the end."""
NODE = r"^node[1-9][0-9]{0,11}\Z"
OPERATION = r"^op[1-9][0-9]{0,11}\Z"
MIGRATION = r"^mv[1-9][0-9]{0,11}\Z"
PLAN = r"^(0|[1-9][0-9]{0,14})-[0-9a-f]{32}\Z"
EVACUATION = r"^ev[1-9][0-9]{0,11}\Z"
RECOVERY = r"^rc[1-9][0-9]{0,11}\Z"
GROWTH = r"^gr[1-9][0-9]{0,11}\Z"
TRIGGER = r"^tr[1-9][0-9]{0,11}\Z"
DEAD = r"^dl[1-9][0-9]{0,11}\Z"
TENANT = r"^(_others|[a-z0-9]|[a-z0-9][-a-z0-9]*[a-z0-9])\Z"
REBALANCE = r"^rb[1-9][0-9]{0,11}\Z"
PRINTABLE = r"^[\x21-\x7e]+\Z"

HostName = Annotated[str, Meta(pattern=LABEL, min_length=1, max_length=63)]
EnvironmentName = Annotated[str, Meta(pattern=LABEL, min_length=1, max_length=30)]
LayerLabel = Annotated[str, Meta(pattern=LABEL, min_length=1, max_length=30)]
GroupName = Annotated[str, Meta(pattern=LABEL, min_length=1, max_length=30)]
NodeName = Annotated[str, Meta(pattern=NODE)]
OperationName = Annotated[str, Meta(pattern=OPERATION)]
MigrationName = Annotated[str, Meta(pattern=MIGRATION)]
EvacuationName = Annotated[str, Meta(pattern=EVACUATION)]
RecoveryName = Annotated[str, Meta(pattern=RECOVERY)]
GrowthName = Annotated[str, Meta(pattern=GROWTH)]
TriggerName = Annotated[str, Meta(pattern=TRIGGER)]
Integer = Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Position = Annotated[int, Meta(ge=0, le=POSITION_MAX)]
RebalanceName = Annotated[str, Meta(pattern=REBALANCE)]
AskName = Annotated[str, Meta(pattern=PRINTABLE, min_length=1, max_length=128)]
Cloudlets = Annotated[int, Meta(ge=1, le=CLOUDLETS_MAX, description="cloudlets")]
DiskGib = Annotated[int, Meta(ge=0, le=65_536, description="GiB of disk")]
Count = Annotated[int, Meta(ge=1, le=COUNT_MAX, description="containers")]
DelaySeconds = Annotated[int, Meta(ge=0, le=DELAY_MAX_S, description="seconds")]
Reason = Annotated[str, Meta(max_length=REASON_MAX)]
Labels = dict[
    Annotated[str, Meta(pattern=LABEL, max_length=63)], Annotated[str, Meta(max_length=63)]
]
PlanName = Annotated[str, Meta(pattern=PLAN, description="name of a plan")]
AwareTime = Annotated[datetime, Meta(tz=True)]
Facts = Mapping[str, str | int | float | bool | list[str] | dict[str, int]]


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Asks for something; imperative. The tag is its name on the bus, in HTTP and in the CLI."""


class PublicCommand(
    Command, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A command that anyone outside may publish, with what every such command may carry.

    `dry_run` tells a plan and writes nothing; with the name of a plan in `expect_plan` the command
    does what that plan says or is refused.
    """

    id: AskName | None = None
    reason: Reason = ""
    expect_version: Position | None = None
    dry_run: bool = False
    expires_at: AwareTime | None = None
    expect_plan: PlanName | None = None


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="t"):
    """Says what happened; past participle. The tag is its name in storage, for ever."""


class Code(StrEnum):
    """Every reason to refuse. `problems.py` has the class, the title and the way on for each."""

    REQUEST_INVALID = "request.invalid"
    REQUEST_TOO_LARGE = "request.too_large"
    COMMAND_UNKNOWN = "command.unknown"
    COMMAND_NOT_FOUND = "command.not_found"
    COMMAND_REUSED = "command.id_reused"
    COMMAND_EXPIRED = "command.expired"
    AUTH_DENIED = "auth.denied"
    HOST_NOT_FOUND = "host.not_found"
    HOST_EXISTS = "host.exists"
    HOST_IN_USE = "host.in_use"
    HOST_LOST = "host.lost"
    ENVIRONMENT_NOT_FOUND = "environment.not_found"
    ENVIRONMENT_EXISTS = "environment.exists"
    ENVIRONMENT_LEAVING = "environment.leaving"
    ENVIRONMENT_STOPPED = "environment.stopped"
    LAYER_NOT_FOUND = "layer.not_found"
    LAYER_EXISTS = "layer.exists"
    CONTAINER_NOT_FOUND = "container.not_found"
    OPERATION_NOT_FOUND = "operation.not_found"
    OPERATION_BUSY = "operation.busy"
    OPERATION_ENDED = "operation.ended"
    MIGRATION_NOT_FOUND = "migration.not_found"
    DEAD_NOT_FOUND = "dead.not_found"
    RECOVERY_NOT_FOUND = "recovery.not_found"
    EVACUATION_NOT_FOUND = "evacuation.not_found"
    EVACUATION_ENDED = "evacuation.ended"
    GROWTH_NOT_FOUND = "growth.not_found"
    GROWTH_ENDED = "growth.ended"
    TRIGGER_NOT_FOUND = "trigger.not_found"
    REBALANCE_NOT_FOUND = "rebalance.not_found"
    REBALANCE_ENDED = "rebalance.ended"
    VERSION_CONFLICT = "version.conflict"
    PLAN_OUTDATED = "plan.outdated"
    CAPACITY_INSUFFICIENT = "capacity.insufficient"
    ANTIAFFINITY_VIOLATED = "antiaffinity.violated"
    AVAILABILITY_WOULD_BREAK = "availability.would_break"
    LIMITS_OUT_OF_RANGE = "limits.out_of_range"
    MIGRATION_NOT_POSSIBLE = "migration.not_possible"
    RATE_LIMITED = "rate.limited"
    ENGINE_NOT_LEADER = "engine.not_leader"
    ENGINE_CATCHING_UP = "engine.catching_up"
    BUS_UNAVAILABLE = "bus.unavailable"
    WAIT_TIMEOUT = "wait.timeout"
    INTERNAL = "internal"


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True, tag="refused"):
    """Why not: a code, a sentence with numbers that an operator can act on, and the numbers.

    `retry_after_ms` is when the same may be asked again, where that is known better than from
    the code alone.
    """

    code: Code
    detail: str
    path: str = ""
    facts: Facts = {}
    retry_after_ms: int = 0


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True, tag="accepted"):
    """Yes: what was begun, and what the asker should know.

    `operation` is the id of the operation or migration that carries the command on, "" where it
    is already done; `operations` are all of them where there are several (one a layer);
    `version` is the version of the stream the command named.
    """

    operation: str = ""
    operations: tuple[str, ...] = ()
    version: int = 0
    containers: tuple[ContainerId, ...] = ()
    notices: tuple[str, ...] = ()


class Unchanged(msgspec.Struct, frozen=True, omit_defaults=True, tag="unchanged"):
    """It is already as asked; nothing was written but this answer. `notices` may say why."""

    version: int = 0
    notices: tuple[str, ...] = ()


Answer = Accepted | Unchanged | Refusal


def number_of(name: str) -> int:
    """Return the number in the id of something numbered: 17 of `node17`. Older ones have less."""
    return int(name.lstrip(ascii_lowercase))


def in_order(names: Iterable[N]) -> list[N]:
    """Return ids of whatever kinds by their numbers; tables keep no order after an undo."""
    return sorted(names, key=lambda name: (number_of(name), name))
