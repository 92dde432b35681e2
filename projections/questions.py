"""What can be asked of the reads: the shape of every question, with what each field may hold.

Lists are in a fixed order and cut to `limit` lines (or fewer, if they would not pass the bus);
then `next` of the page is what to pass as `after` for the lines that follow.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from domain.dead import DeadName
from domain.evacuation import EvacuationState
from domain.growth import GrowthState
from domain.host import HostState
from domain.messages import (
    Cloudlets,
    DiskGib,
    EvacuationName,
    GrowthName,
    MigrationName,
    NodeName,
    OperationName,
    Position,
    RebalanceName,
    RecoveryName,
    TriggerName,
)
from domain.migration import MigrationState
from domain.operation import OperationState
from domain.rebalance import RebalanceState

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
WAIT_DEFAULT_MS = 5_000
WAIT_MAX_MS = 30_000

Text = Annotated[str, Meta(min_length=1, max_length=200)]


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every question may carry: how new the answer must be, and how long to wait for that."""

    min_position: Position = 0
    wait_ms: Annotated[int, Meta(ge=0, le=WAIT_MAX_MS)] = WAIT_DEFAULT_MS


class Listing(Question, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT


class HostList(Listing, frozen=True, kw_only=True):
    """Hosts by id."""

    zone: str | None = None
    state: HostState | None = None
    after: str = ""


class EnvironmentList(Listing, frozen=True, kw_only=True):
    """Environments by id."""

    after: str = ""


class LayerList(Listing, frozen=True, kw_only=True):
    """Layers by environment and name; `after` is `<environment>/<layer>`."""

    environment: Text | None = None
    after: str = ""


class ContainerList(Listing, frozen=True, kw_only=True):
    """Containers, oldest first. `layer` wants an `environment`."""

    environment: Text | None = None
    layer: Text | None = None
    host: Text | None = None
    operable: bool | None = None
    after: NodeName | None = None


class OperationList(Listing, frozen=True, kw_only=True):
    """Operations, newest first."""

    environment: Text | None = None
    layer: Text | None = None
    kind: Text | None = None
    state: OperationState | None = None
    after: OperationName | None = None


class MigrationList(Listing, frozen=True, kw_only=True):
    """Migrations, newest first. `host` is source or target."""

    container: Text | None = None
    host: Text | None = None
    state: MigrationState | None = None
    after: MigrationName | None = None


class EvacuationList(Listing, frozen=True, kw_only=True):
    """Evacuations and ways back, newest first."""

    host: Text | None = None
    state: EvacuationState | None = None
    after: EvacuationName | None = None


class RebalanceList(Listing, frozen=True, kw_only=True):
    """Rebalances, newest first."""

    state: RebalanceState | None = None
    after: RebalanceName | None = None


class RecoveryList(Listing, frozen=True, kw_only=True):
    """Recoveries of what lost hosts carried, newest first."""

    host: Text | None = None
    after: RecoveryName | None = None


class HostFeasibility(Listing, frozen=True, kw_only=True):
    """Whether all containers of a host can go elsewhere: of one host, or of each (N-1)."""

    host: Text | None = None
    targets: tuple[Text, ...] = ()
    after: str = ""


class GrowthList(Listing, frozen=True, kw_only=True):
    """Growths that did not fit their host at once, newest first."""

    container: Text | None = None
    state: GrowthState | None = None
    after: GrowthName | None = None


class CommandList(Listing, frozen=True, kw_only=True):
    """Commands with their answers, newest first. `tenant` "": those of the operator."""

    command: Text | None = None
    tenant: str | None = None
    actor: Text | None = None
    answer: Literal["accepted", "done", "unchanged", "refused"] | None = None
    after: str = ""


class EventList(Listing, frozen=True, kw_only=True):
    """Events beyond position `after`, oldest first; without it the latest ones, newest first."""

    stream: Text | None = None
    ask: Text | None = None
    type: Text | None = None
    after: Position | None = None


class TriggerList(Listing, frozen=True, kw_only=True):
    """Triggers, oldest first."""

    environment: Text | None = None
    layer: Text | None = None
    after: TriggerName | None = None


class TriggerShow(Question, frozen=True, kw_only=True):
    trigger: Text


class TriggerHistory(Listing, frozen=True, kw_only=True):
    """What triggers fired, and what was refused, newest first; `after` is a position."""

    trigger: Text | None = None
    environment: Text | None = None
    layer: Text | None = None
    after: Position | None = None


class TenantList(Listing, frozen=True, kw_only=True):
    """Tenants with limits of their own, by name; `_others` first."""

    after: str = ""


class TenantShow(Question, frozen=True, kw_only=True):
    tenant: Text


class DeadList(Listing, frozen=True, kw_only=True):
    """Dead letters, oldest first."""

    tenant: Text | None = None
    command: Text | None = None
    after: DeadName | None = None


class DeadShow(Question, frozen=True, kw_only=True):
    dead: Text


class HostShow(Question, frozen=True, kw_only=True):
    host: Text


class HostRoom(Question, frozen=True, kw_only=True):
    """By which live moves would so much become free on a host? Nothing is begun."""

    host: Text
    cloudlets: Cloudlets
    disk_gib: DiskGib = 0


class EnvironmentShow(Question, frozen=True, kw_only=True):
    environment: Text


class LayerShow(Question, frozen=True, kw_only=True):
    environment: Text
    layer: Text


class ContainerShow(Question, frozen=True, kw_only=True):
    container: Text


class OperationShow(Question, frozen=True, kw_only=True):
    operation: Text


class MigrationShow(Question, frozen=True, kw_only=True):
    migration: Text


class EvacuationShow(Question, frozen=True, kw_only=True):
    evacuation: Text


class RebalanceShow(Question, frozen=True, kw_only=True):
    rebalance: Text


class RecoveryShow(Question, frozen=True, kw_only=True):
    recovery: Text


class GrowthShow(Question, frozen=True, kw_only=True):
    growth: Text


class CommandShow(Question, frozen=True, kw_only=True):
    """One command by its id, which is its tenant's own; "" is the operator."""

    id: Text
    tenant: str = ""


class Status(Question, frozen=True, kw_only=True):
    """How the region is."""
