"""Everything that may be asked and everything that is told, in one list each.

Schemas, AsyncAPI, the pages under `docs/`, service discovery and the help of the command line all
come from here. A command's errors are those that are its own; `COMMON` ones may meet any command.
"""

from collections.abc import Mapping
from inspect import cleandoc

import msgspec

from domain.dead import DropDead, RetryDead
from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import (
    AddLayer,
    ChangeLayer,
    CreateEnvironment,
    LayerSpec,
    RemoveEnvironment,
    RemoveLayer,
    StartEnvironment,
    StopEnvironment,
)
from domain.evacuation import (
    EvacuateHost,
    PauseEvacuation,
    RestoreHost,
    ResumeEvacuation,
    StopEvacuation,
)
from domain.facts import FACTS, tag
from domain.growth import CancelGrowth
from domain.host import (
    CordonHost,
    RateHost,
    RegisterHost,
    RelabelHost,
    RemoveHost,
    UncordonHost,
)
from domain.loss import LoseHost, RecoverHost
from domain.messages import Code, Event, PublicCommand
from domain.migration import MigrateContainer
from domain.operation import (
    CancelOperation,
    PauseOperation,
    RestartLayer,
    ResumeOperation,
    ScaleLayer,
    ScaleNode,
    SetCloudletLimits,
)
from domain.rebalance import PauseRebalance, RebalanceRegion, ResumeRebalance, StopRebalance
from domain.streams import noun_of
from domain.tenant import LimitTenant, ResetTenant
from domain.trigger import DisableTrigger, EnableTrigger, RemoveTrigger, SetTrigger

CONTRACT_VERSION = "0.1.0"
FIRST = "0.1.0"
"""The version that had the first commands and events."""

COMMON = (
    Code.REQUEST_INVALID,
    Code.REQUEST_TOO_LARGE,
    Code.LIMITS_OUT_OF_RANGE,
    Code.COMMAND_REUSED,
    Code.COMMAND_EXPIRED,
    Code.AUTH_DENIED,
    Code.VERSION_CONFLICT,
    Code.PLAN_OUTDATED,
    Code.RATE_LIMITED,
    Code.ENGINE_NOT_LEADER,
    Code.ENGINE_CATCHING_UP,
    Code.INTERNAL,
)

PLACING = (Code.CAPACITY_INSUFFICIENT, Code.ANTIAFFINITY_VIOLATED)
ON_A_LAYER = (
    Code.ENVIRONMENT_NOT_FOUND,
    Code.LAYER_NOT_FOUND,
    Code.ENVIRONMENT_LEAVING,
    Code.OPERATION_BUSY,
)
IN_SEQUENCE = (*ON_A_LAYER, Code.AVAILABILITY_WOULD_BREAK)
ON_AN_EVACUATION = (Code.EVACUATION_NOT_FOUND, Code.EVACUATION_ENDED)
ON_A_REBALANCE = (Code.REBALANCE_NOT_FOUND, Code.REBALANCE_ENDED)
ON_AN_OPERATION = (Code.OPERATION_NOT_FOUND, Code.OPERATION_ENDED)

CLI_NOUNS: Mapping[str, str] = {"environment": "env", "operation": "op"}
"""Where the command line has a shorter word than the contract."""


class CommandContract(msgspec.Struct, frozen=True):
    """One public command: its shape, an example, the errors of its own, and since when."""

    example: PublicCommand
    errors: tuple[Code, ...] = ()
    since: str = FIRST

    @property
    def shape(self) -> type[PublicCommand]:
        return type(self.example)

    @property
    def name(self) -> str:
        """Its name on the bus, in HTTP and in the command line: `layer.scale`."""
        return str(self.shape.__struct_config__.tag)

    @property
    def noun(self) -> str:
        return self.name.partition(".")[0]

    @property
    def endpoint(self) -> str:
        """Its name in service discovery, where dots are not allowed: `layer-scale`."""
        return self.name.replace(".", "-")

    @property
    def cli(self) -> str:
        """How the command line asks for it: `restow op pause`."""
        noun, _, verb = self.name.partition(".")
        return f"restow {CLI_NOUNS.get(noun, noun)} {verb}"

    @property
    def summary(self) -> str:
        return sentence(self.shape)

    @property
    def text(self) -> str:
        return description(self.shape)


class EventContract(msgspec.Struct, frozen=True):
    """One event: its shape and since when."""

    shape: type[Event]
    since: str = FIRST

    @property
    def name(self) -> str:
        return tag(self.shape)

    @property
    def noun(self) -> str:
        return self.name.partition(".")[0]

    @property
    def stream(self) -> str:
        """The noun of the streams it is written to, which is that of its subject: `container`."""
        return noun_of(self.shape)

    @property
    def public_type(self) -> str:
        """Its type as a CloudEvent: `io.restow.layer.added.v1`."""
        return public_type(self.name)

    @property
    def text(self) -> str:
        return description(self.shape)


COMMANDS: Mapping[str, CommandContract] = {
    contract.name: contract
    for contract in (
        CommandContract(
            RegisterHost(
                host="north1",
                memory_mib=65_536,
                cpu_mhz=102_400,
                disk_gib=1_000,
                overcommit=2.0,
                labels={"zone": "north"},
            ),
            (Code.HOST_EXISTS,),
        ),
        CommandContract(
            RelabelHost(host="north1", labels={"zone": "south"}), (Code.HOST_NOT_FOUND,)
        ),
        CommandContract(RateHost(host="north1", load_mark=420), (Code.HOST_NOT_FOUND,)),
        CommandContract(
            CordonHost(host="north1", reason="new memory on Friday"),
            (Code.HOST_NOT_FOUND, Code.HOST_LOST),
        ),
        CommandContract(
            UncordonHost(host="north1"),
            (Code.HOST_NOT_FOUND, Code.OPERATION_BUSY, Code.HOST_LOST),
        ),
        CommandContract(
            LoseHost(host="north1", reason="power supply burnt, unplugged by Ada"),
            (Code.HOST_NOT_FOUND,),
        ),
        CommandContract(RecoverHost(host="north1"), (Code.HOST_NOT_FOUND,)),
        CommandContract(RemoveHost(host="north1"), (Code.HOST_NOT_FOUND, Code.HOST_IN_USE)),
        CommandContract(
            CreateEnvironment(
                environment="shop",
                layers=(
                    LayerSpec(name="bl", role="bl", ports=(80,)),
                    LayerSpec(name="cp", count=3, reserved=2, limit=8, anti_affinity="hard"),
                    LayerSpec(name="sql", count=2, role="sqldb", reserved=4, stateful=True),
                ),
            ),
            (Code.ENVIRONMENT_EXISTS, *PLACING),
        ),
        CommandContract(
            RemoveEnvironment(environment="shop", reason="moved to another region"),
            (Code.ENVIRONMENT_NOT_FOUND, Code.OPERATION_BUSY),
        ),
        CommandContract(
            StopEnvironment(environment="shop", reason="closed over the holidays"),
            (Code.ENVIRONMENT_NOT_FOUND, Code.ENVIRONMENT_LEAVING),
        ),
        CommandContract(
            StartEnvironment(environment="shop"),
            (Code.ENVIRONMENT_NOT_FOUND, Code.ENVIRONMENT_LEAVING),
        ),
        CommandContract(
            AddLayer(environment="shop", layer=LayerSpec(name="cache", count=2, reserved=2)),
            (
                Code.ENVIRONMENT_NOT_FOUND,
                Code.ENVIRONMENT_LEAVING,
                Code.LAYER_EXISTS,
                *PLACING,
            ),
        ),
        CommandContract(
            ChangeLayer(environment="shop", layer="cp", policy="pack"),
            (Code.ENVIRONMENT_NOT_FOUND, Code.LAYER_NOT_FOUND, Code.ENVIRONMENT_LEAVING),
        ),
        CommandContract(RemoveLayer(environment="shop", layer="cache"), ON_A_LAYER),
        CommandContract(
            ScaleLayer(environment="shop", layer="cp", count=6, reason="black friday"),
            (*IN_SEQUENCE, *PLACING),
        ),
        CommandContract(
            RestartLayer(environment="shop", layer="cp", delay_s=30, reason="new certificate"),
            (*IN_SEQUENCE, *PLACING, Code.ENVIRONMENT_STOPPED),
        ),
        CommandContract(
            RedeployLayer(
                environment="shop", layer="cp", image="restow/counter:2", on_failure="rollback"
            ),
            (*IN_SEQUENCE, *PLACING, Code.ENVIRONMENT_STOPPED),
        ),
        CommandContract(
            DeployApplication(
                environment="shop",
                layer="cp",
                vcs="https://git.example.org/shop.git",
                ref="v1.4.2",
            ),
            (*IN_SEQUENCE, *PLACING, Code.ENVIRONMENT_STOPPED),
        ),
        CommandContract(
            SetCloudletLimits(environment="shop", layer="cp", reserved=2, limit=16),
            (*IN_SEQUENCE, *PLACING, Code.ENVIRONMENT_STOPPED),
        ),
        CommandContract(
            ScaleNode(container="node17", reserved=2, limit=16),
            (
                Code.CONTAINER_NOT_FOUND,
                Code.OPERATION_BUSY,
                Code.ENVIRONMENT_LEAVING,
                Code.CAPACITY_INSUFFICIENT,
            ),
        ),
        CommandContract(
            MigrateContainer(container="node17", target="north2"),
            (
                Code.CONTAINER_NOT_FOUND,
                Code.HOST_NOT_FOUND,
                Code.HOST_LOST,
                Code.OPERATION_BUSY,
                Code.MIGRATION_NOT_POSSIBLE,
                Code.ENVIRONMENT_STOPPED,
                Code.AVAILABILITY_WOULD_BREAK,
                *PLACING,
            ),
        ),
        CommandContract(CancelGrowth(growth="gr2"), (Code.GROWTH_NOT_FOUND, Code.GROWTH_ENDED)),
        CommandContract(PauseOperation(operation="op3"), ON_AN_OPERATION),
        CommandContract(ResumeOperation(operation="op3"), ON_AN_OPERATION),
        CommandContract(CancelOperation(operation="op3"), ON_AN_OPERATION),
        CommandContract(LimitTenant(tenant="acme", rate=50, burst=100, reason="their new plan")),
        CommandContract(ResetTenant(tenant="acme")),
        CommandContract(
            RetryDead(dead="dl3", reason="fixed in 0.2.1"),
            (Code.DEAD_NOT_FOUND,),
        ),
        CommandContract(DropDead(dead="dl3", reason="sent by mistake"), (Code.DEAD_NOT_FOUND,)),
        CommandContract(
            EvacuateHost(host="north1", targets=("north2", "north3"), reason="new memory"),
            (Code.HOST_NOT_FOUND, Code.OPERATION_BUSY, Code.MIGRATION_NOT_POSSIBLE),
        ),
        CommandContract(
            RestoreHost(host="north1", reason="the memory is in"),
            (
                Code.HOST_NOT_FOUND,
                Code.EVACUATION_NOT_FOUND,
                Code.OPERATION_BUSY,
                Code.MIGRATION_NOT_POSSIBLE,
            ),
        ),
        CommandContract(PauseEvacuation(evacuation="ev1"), ON_AN_EVACUATION),
        CommandContract(ResumeEvacuation(evacuation="ev1"), ON_AN_EVACUATION),
        CommandContract(StopEvacuation(evacuation="ev1"), ON_AN_EVACUATION),
        CommandContract(
            RebalanceRegion(moves=20, zone="north", reason="two new hosts"),
            (Code.HOST_NOT_FOUND, Code.ENVIRONMENT_NOT_FOUND, Code.OPERATION_BUSY),
        ),
        CommandContract(PauseRebalance(rebalance="rb1"), ON_A_REBALANCE),
        CommandContract(ResumeRebalance(rebalance="rb1"), ON_A_REBALANCE),
        CommandContract(StopRebalance(rebalance="rb1"), ON_A_REBALANCE),
        CommandContract(
            SetTrigger(
                environment="shop",
                layer="cp",
                resource="cpu",
                add_above=70,
                remove_below=30,
                min_count=2,
                max_count=6,
                reason="sale on Friday",
            ),
            (Code.ENVIRONMENT_NOT_FOUND, Code.LAYER_NOT_FOUND, Code.ENVIRONMENT_LEAVING),
        ),
        CommandContract(RemoveTrigger(trigger="tr1"), (Code.TRIGGER_NOT_FOUND,)),
        CommandContract(EnableTrigger(trigger="tr1"), (Code.TRIGGER_NOT_FOUND,)),
        CommandContract(
            DisableTrigger(trigger="tr1", reason="the count is set by hand today"),
            (Code.TRIGGER_NOT_FOUND,),
        ),
    )
}
"""Every public command by its name."""

EVENTS: Mapping[str, EventContract] = {
    contract.name: contract for contract in (EventContract(shape) for shape in FACTS)
}
"""Every event by its name."""


def public_type(name: str) -> str:
    """Return the type of an event as a CloudEvent: `io.restow.layer.added.v1`."""
    return f"io.restow.{name}.v1"


def description(shape: type[PublicCommand | Event]) -> str:
    """Return what a message's class says of itself; without that, its name as words."""
    said = shape.__dict__.get("__doc__")
    if said:
        return cleandoc(said)
    noun, _, verb = str(shape.__struct_config__.tag).partition(".")
    return f"{noun} {verb}".replace("-", " ").capitalize() + "."


def sentence(shape: type[PublicCommand | Event]) -> str:
    """Return the first paragraph of the description, on one line."""
    return " ".join(description(shape).partition("\n\n")[0].split())
