"""Who decides what: each command, and the function that its decision is."""

from collections.abc import Callable
from typing import Any

from domain import (
    dead,
    deployment,
    emptying,
    evacuating,
    growing,
    host,
    layers,
    losing,
    moving,
    rebalancing,
    recovering,
    reports,
    scaling,
    sequence,
    standstill,
    step,
    tenant,
    triggers,
    vertical,
)
from domain.container import PlaceContainer, ReconcileSize
from domain.dead import DropDead, KeepDead, RetryDead, SettleDead, TryDurable
from domain.deadlines import DeadlinePassed, passed
from domain.decider import NOTHING, Ask, Decision, Outcome
from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import (
    AddLayer,
    ChangeLayer,
    CreateEnvironment,
    RemoveEnvironment,
    RemoveLayer,
    StartEnvironment,
    StopEnvironment,
)
from domain.evacuating import EvacuationCommand
from domain.evacuation import AdvanceEvacuation
from domain.facts import members
from domain.fleet import Fleet
from domain.growing import GrowthCommand
from domain.host import HostCommand
from domain.loss import LoseHost, RecoverHost, ReturnHost, SettleLost, WatchHosts, new_term
from domain.messages import (
    Command,
    HostId,
    Instant,
    MigrationId,
    Refusal,
)
from domain.migration import CallOffMigration, GrantMigration, MigrateContainer
from domain.operation import (
    AdvanceOperation,
    AdvanceStep,
    BeginOperation,
    CancelOperation,
    PauseOperation,
    RestartLayer,
    ResumeOperation,
    ScaleLayer,
    SetCloudletLimits,
)
from domain.orders import AnyReport
from domain.rebalance import AdvanceRebalance
from domain.rebalancing import RebalanceCommand
from domain.recovery import AdvanceCase, AdvanceRecovery, BeginRecovery
from domain.tenant import TenantCommand
from domain.trigger import (
    DisableTrigger,
    EnableTrigger,
    FireTrigger,
    RefuseFiring,
    RemoveTrigger,
    SettleTrigger,
    SetTrigger,
)
from domain.vertical import FollowUsage

Decide = Callable[[Fleet, Any, Ask, Instant], Outcome]


def call_off(fleet: Fleet, command: CallOffMigration, _ask: Ask, _now: Instant) -> Outcome:
    migration = fleet.migrations.get(MigrationId(command.migration))
    if migration is None:
        return Decision()
    return Decision(moving.call_off(fleet, migration, "the container must grow where it is"))


DECIDE: dict[type[Command], Decide] = {
    **dict.fromkeys(
        members(HostCommand),
        lambda fleet, c, _ask, _now: host.decide(
            fleet.hosts.get(HostId(c.host)), c, new_term(fleet.counters, c.host)
        ),
    ),
    **dict.fromkeys(
        (CreateEnvironment, RemoveEnvironment, AddLayer, ChangeLayer, RemoveLayer),
        lambda fleet, c, ask, _now: layers.decide(fleet, c, ask.tenant),
    ),
    **dict.fromkeys(members(AnyReport), lambda fleet, c, _ask, now: reports.decide(fleet, c, now)),
    PlaceContainer: lambda fleet, c, _ask, _now: layers.place_container(fleet, c),
    **dict.fromkeys(
        members(GrowthCommand), lambda fleet, c, _ask, now: growing.decide(fleet, c, now)
    ),
    FollowUsage: lambda fleet, c, _ask, now: vertical.follow(fleet, c, now),
    ReconcileSize: lambda fleet, c, _ask, now: scaling.reconcile_size(fleet, c, now),
    RestartLayer: lambda fleet, c, _ask, _now: scaling.restart_layer(fleet, c),
    RedeployLayer: lambda fleet, c, _ask, _now: deployment.redeploy_layer(fleet, c),
    DeployApplication: lambda fleet, c, _ask, _now: deployment.deploy_application(fleet, c),
    StopEnvironment: lambda fleet, c, _ask, _now: standstill.stop_environment(fleet, c),
    StartEnvironment: lambda fleet, c, _ask, _now: standstill.start_environment(fleet, c),
    SetCloudletLimits: lambda fleet, c, _ask, _now: scaling.set_limits(fleet, c),
    ScaleLayer: lambda fleet, c, _ask, _now: scaling.scale_layer(fleet, c),
    BeginOperation: lambda fleet, c, _ask, _now: sequence.begin(fleet, c),
    AdvanceOperation: lambda fleet, c, _ask, now: sequence.advance(fleet, c, now),
    AdvanceStep: lambda fleet, c, _ask, now: step.advance_step(fleet, c, now),
    PauseOperation: lambda fleet, c, _ask, _now: sequence.pause(fleet, c),
    ResumeOperation: lambda fleet, c, _ask, _now: sequence.resume(fleet, c),
    CancelOperation: lambda fleet, c, _ask, _now: sequence.cancel(fleet, c),
    MigrateContainer: lambda fleet, c, _ask, now: moving.migrate(fleet, c, now),
    GrantMigration: lambda fleet, c, _ask, now: moving.grant(fleet, c, now),
    CallOffMigration: call_off,
    **dict.fromkeys(
        members(TenantCommand), lambda fleet, c, _ask, _now: tenant.decide(fleet.limits, c)
    ),
    KeepDead: lambda fleet, c, _ask, _now: dead.keep(fleet.dead, c, fleet.next_number("dead")),
    RetryDead: lambda fleet, c, ask, _now: dead.retry(fleet.dead, c, ask.actor),
    DropDead: lambda fleet, c, ask, _now: dead.drop(fleet.dead, c, ask.actor),
    SettleDead: lambda fleet, c, _ask, _now: dead.settle(fleet.dead, c),
    TryDurable: lambda _fleet, _c, _ask, _now: NOTHING,
    **dict.fromkeys(
        members(EvacuationCommand), lambda fleet, c, _ask, _now: evacuating.decide(fleet, c)
    ),
    AdvanceEvacuation: lambda fleet, c, _ask, now: emptying.advance(fleet, c, now),
    **dict.fromkeys(
        members(RebalanceCommand), lambda fleet, c, _ask, _now: rebalancing.decide(fleet, c)
    ),
    AdvanceRebalance: lambda fleet, c, _ask, now: rebalancing.advance(fleet, c, now),
    WatchHosts: lambda fleet, c, _ask, _now: losing.watch(fleet, c),
    LoseHost: lambda fleet, c, _ask, _now: losing.lose_host(fleet, c),
    ReturnHost: lambda fleet, c, _ask, _now: losing.come_back(fleet, c),
    SettleLost: lambda fleet, c, _ask, _now: losing.settle(fleet, c),
    RecoverHost: lambda fleet, c, _ask, _now: recovering.recover(fleet, c),
    BeginRecovery: lambda fleet, c, _ask, _now: recovering.begin(fleet, c),
    AdvanceRecovery: lambda fleet, c, _ask, now: recovering.advance(fleet, c, now),
    AdvanceCase: lambda fleet, c, _ask, now: recovering.advance_case(fleet, c, now),
    SetTrigger: lambda fleet, c, _ask, _now: triggers.set_trigger(fleet, c),
    RemoveTrigger: lambda fleet, c, _ask, _now: triggers.remove(fleet, c),
    EnableTrigger: lambda fleet, c, _ask, _now: triggers.enable(fleet, c),
    DisableTrigger: lambda fleet, c, _ask, _now: triggers.disable(fleet, c),
    FireTrigger: lambda fleet, c, _ask, now: triggers.fire(fleet, c, now),
    RefuseFiring: lambda fleet, c, _ask, now: triggers.refuse(fleet, c, now),
    SettleTrigger: lambda fleet, c, _ask, now: triggers.settle(fleet, c, now),
    DeadlinePassed: lambda fleet, c, _ask, now: passed(fleet, c, now),
}

INSTEAD: dict[type[Command], Callable[[Any, Refusal], Command]] = {
    FireTrigger: lambda firing, refusal: RefuseFiring(firing=firing, refusal=refusal),
}
"""What is decided instead of a command that was refused, so that the refusal is a fact."""
