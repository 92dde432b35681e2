"""The small regions in which the sagas are searched; together they show all that a saga can do."""

from typing import Any

from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import (
    CreateEnvironment,
    LayerSpec,
    RemoveEnvironment,
    StartEnvironment,
    StopEnvironment,
)
from domain.evacuation import EvacuateHost, RestoreHost
from domain.host import RegisterHost, UncordonHost
from domain.loss import LoseHost, RecoverHost, ReturnHost, Silent, WatchHosts
from domain.messages import CPU_OF_A_CLOUDLET_MHZ, MEMORY_OF_A_CLOUDLET_MIB, HostId
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleLayer, ScaleNode, SetCloudletLimits
from restow.exploring import Search

ROOMY = 16
"""Cloudlets of a host that has room for all that is asked here."""
TIGHT = 2
GROWN = 4
"""Cloudlets that fit a roomy host and not a tight one."""

LAYER: dict[str, Any] = {"environment": "shop", "layer": "app"}
STEERING = frozenset(
    {
        "operation.pause",
        "operation.resume",
        "operation.cancel",
        "evacuation.pause",
        "evacuation.resume",
        "evacuation.stop",
    }
)
PHASES = frozenset({"phase"})
ILLNESS = frozenset({"unhealthy", "down", "up before it is said"})


def host(name: str, cloudlets: int = ROOMY) -> RegisterHost:
    return RegisterHost(
        host=name,
        memory_mib=cloudlets * MEMORY_OF_A_CLOUDLET_MIB,
        cpu_mhz=cloudlets * CPU_OF_A_CLOUDLET_MHZ,
        disk_gib=ROOMY,
    )


def shop(count: int) -> CreateEnvironment:
    layer = LayerSpec(name="app", count=count)
    return CreateEnvironment(environment="shop", layers=(layer,))


def big(count: int) -> CreateEnvironment:
    layer = LayerSpec(name="app", count=count, reserved=GROWN)
    return CreateEnvironment(environment="shop", layers=(layer,))


def kept() -> CreateEnvironment:
    layer = LayerSpec(name="app", count=1, on_lost="keep")
    return CreateEnvironment(environment="shop", layers=(layer,))


def restart(**how: Any) -> RestartLayer:
    return RestartLayer(**(LAYER | how))


def limits(**how: Any) -> SetCloudletLimits:
    return SetCloudletLimits(**(LAYER | how))


def redeploy(**how: Any) -> RedeployLayer:
    return RedeployLayer(image="restow/counter:2", **(LAYER | how))


ONE = (host("h1"), host("h2"), shop(1))
PAIR = (host("h1"), host("h2"), shop(2))
WIDE = (host("h1"), host("h2"), host("h3"), shop(2))
STOP = StopEnvironment(environment="shop")
MOVE = MigrateContainer(container="node1")

EVACUATE = EvacuateHost(host="h1")

LOSE = LoseHost(host="h1", reason="it burnt")
SILENT = WatchHosts(silent=(Silent(HostId("h1")),), steady=True)
RETURN = ReturnHost(host="h1")
AGAIN = (LOSE, RETURN, LoseHost(host="h2", reason="it burnt"), ReturnHost(host="h2"))

SEARCHES = (
    Search(name="restart, delay", begin=PAIR, first=(restart(delay_s=5),)),
    Search(
        name="restart, asking, going on",
        begin=PAIR,
        first=(restart(ask=True, on_failure="continue"),),
        without=ILLNESS,
    ),
    Search(name="restart, all at once", begin=PAIR, first=(restart(mode="simultaneous"),)),
    Search(name="restart, surge", begin=ONE, first=(restart(surge=True),), without=ILLNESS),
    Search(
        name="limits, rolled back",
        begin=PAIR,
        first=(limits(reserved=TIGHT, delay_s=0, on_failure="rollback"),),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="limits, out of DNS",
        begin=PAIR,
        first=(limits(reserved=TIGHT, delay_s=0, remove_from_dns=True),),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="limits, no room",
        begin=(host("h1", TIGHT), host("h2", TIGHT), shop(2)),
        first=(limits(reserved=GROWN, delay_s=0, remove_from_dns=True, on_failure="rollback"),),
        without=STEERING,
    ),
    Search(
        name="limits, no room, in DNS all the while",
        begin=(host("h1", TIGHT), host("h2", TIGHT), shop(2)),
        first=(limits(reserved=GROWN, delay_s=0),),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="limits of one that may be down",
        begin=ONE,
        first=(restart(accept_downtime=True), limits(reserved=TIGHT)),
        without=STEERING,
    ),
    Search(
        name="limits behind a migration",
        begin=ONE,
        first=(MOVE, limits(limit=GROWN, remove_from_dns=True, accept_downtime=True)),
        without=STEERING | ILLNESS | PHASES,
    ),
    Search(
        name="limits behind a removal",
        begin=PAIR,
        first=(ScaleLayer(**LAYER, count=1), limits(reserved=TIGHT)),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="redeploy, rolled back",
        begin=PAIR,
        first=(redeploy(delay_s=0, on_failure="rollback"),),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="redeploy of one that may be down",
        begin=ONE,
        first=(redeploy(accept_downtime=True),),
        without=STEERING,
    ),
    Search(
        name="redeploy behind a migration",
        begin=ONE,
        first=(MOVE, redeploy(accept_downtime=True)),
        without=STEERING | ILLNESS | PHASES,
    ),
    Search(
        name="redeploy behind a removal",
        begin=PAIR,
        first=(ScaleLayer(**LAYER, count=1), redeploy(accept_downtime=True)),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="redeploy of two that may be ill",
        begin=PAIR,
        first=(redeploy(mode="simultaneous", remove_from_dns=False),),
        without=STEERING,
    ),
    Search(
        name="redeploy, one after another",
        begin=PAIR,
        first=(redeploy(delay_s=0),),
        without=STEERING,
    ),
    Search(
        name="stop behind a removal",
        begin=PAIR,
        first=(ScaleLayer(**LAYER, count=1), STOP),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="stop behind a migration",
        begin=ONE,
        first=(MOVE, STOP),
        without=STEERING | PHASES,
    ),
    Search(
        name="start of what runs",
        begin=ONE,
        first=(STOP, StartEnvironment(environment="shop")),
        without=STEERING,
    ),
    Search(
        name="deploy",
        begin=ONE,
        first=(
            DeployApplication(
                **LAYER, vcs="https://git.example.org/shop.git", accept_downtime=True
            ),
        ),
        without=STEERING | ILLNESS,
    ),
    Search(name="stop", begin=ONE, first=(STOP,)),
    Search(
        name="stop and start",
        begin=ONE,
        first=(STOP, StartEnvironment(environment="shop")),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="limits and back behind a start that may not come into DNS",
        begin=(host("h1"),),
        first=(shop(1), limits(reserved=TIGHT, delay_s=0, on_failure="rollback")),
        without=STEERING | ILLNESS,
    ),
    Search(name="scale out", begin=ONE, first=(ScaleLayer(**LAYER, count=2),)),
    Search(name="scale in", begin=PAIR, first=(ScaleLayer(**LAYER, count=1),)),
    Search(name="remove", begin=ONE, first=(RemoveEnvironment(environment="shop"),)),
    Search(
        name="remove behind a removal",
        begin=PAIR,
        first=(ScaleLayer(**LAYER, count=1), RemoveEnvironment(environment="shop")),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="surge behind another",
        begin=ONE,
        first=(restart(accept_downtime=True), restart(surge=True)),
        without=ILLNESS,
    ),
    Search(name="one behind another", begin=ONE, first=(restart(accept_downtime=True),) * 2),
    Search(name="migration", begin=ONE, first=(MOVE,)),
    Search(
        name="two migrations",
        begin=WIDE,
        first=(MOVE, MigrateContainer(container="node2")),
        without=PHASES,
    ),
    Search(
        name="migration behind a restart",
        begin=ONE,
        first=(restart(accept_downtime=True), MOVE),
    ),
    Search(
        name="restart behind a migration",
        begin=PAIR,
        first=(MOVE, restart(delay_s=0)),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="restart behind a removal",
        begin=PAIR,
        first=(ScaleLayer(**LAYER, count=1), restart(accept_downtime=True)),
        without=STEERING | ILLNESS,
    ),
    Search(name="evacuation", begin=ONE, first=(EVACUATE,), without=ILLNESS | PHASES),
    Search(name="evacuation of one that falls ill", begin=ONE, first=(EVACUATE,), without=STEERING),
    Search(
        name="evacuation of two",
        begin=(host("h1"), shop(2), host("h2"), host("h3")),
        first=(EVACUATE,),
        without=STEERING | ILLNESS | PHASES | {"migrate failed"},
    ),
    Search(
        name="evacuation, offline",
        begin=ONE,
        first=(EvacuateHost(host="h1", live=False),),
        without=PHASES,
    ),
    Search(
        name="evacuation without room",
        begin=(host("h1"), big(1), host("h2", TIGHT), host("h3", TIGHT)),
        first=(EVACUATE,),
    ),
    Search(
        name="evacuation behind a restart",
        begin=ONE,
        first=(restart(accept_downtime=True), EVACUATE),
        without=STEERING | ILLNESS | PHASES,
    ),
    Search(
        name="evacuation, paused while it waits",
        begin=ONE,
        first=(restart(accept_downtime=True), EVACUATE),
        without=frozenset({"operation.pause", "operation.resume", "operation.cancel"})
        | ILLNESS
        | PHASES,
    ),
    Search(
        name="evacuation of a host to which one is on its way",
        begin=ONE,
        first=(MOVE, EvacuateHost(host="h2")),
        without=ILLNESS | PHASES,
    ),
    Search(
        name="the way back",
        begin=(*ONE, EVACUATE),
        first=(UncordonHost(host="h1"), RestoreHost(host="h1")),
        without=ILLNESS | PHASES,
    ),
    Search(name="loss", begin=ONE, first=(LOSE,), later=(RETURN,), without=PHASES),
    Search(
        name="loss without room",
        begin=(host("h1"), big(1), host("h2", TIGHT)),
        first=(LOSE,),
        later=(RETURN,),
    ),
    Search(
        name="loss of what is kept",
        begin=(host("h1"), kept(), host("h2")),
        first=(SILENT,),
        later=(RETURN, RecoverHost(host="h1"), LOSE),
        without=ILLNESS,
    ),
    Search(
        name="loss of two",
        begin=(host("h1"), shop(2), host("h2")),
        first=(LOSE,),
        without=ILLNESS,
    ),
    Search(
        name="loss in the middle of a restart",
        begin=PAIR,
        first=(restart(delay_s=0),),
        later=(LOSE,),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="loss of what stands still",
        begin=(*ONE, STOP),
        first=(LOSE,),
        later=(RETURN, StartEnvironment(environment="shop")),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="loss of what is removed",
        begin=ONE,
        first=(LOSE,),
        later=(RemoveEnvironment(environment="shop"),),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="loss of the source of a migration",
        begin=ONE,
        first=(MOVE,),
        later=(LOSE, RETURN),
        without=ILLNESS,
    ),
    Search(
        name="loss of the target of a migration",
        begin=ONE,
        first=(MOVE,),
        later=(LoseHost(host="h2", reason="it burnt"),),
        without=ILLNESS,
    ),
    Search(
        name="loss again and again",
        begin=(*ONE, *AGAIN, LOSE, RETURN),
        first=(LoseHost(host="h2", reason="it burnt"),),
        later=(ReturnHost(host="h2"), RecoverHost(host="h2")),
        without=ILLNESS,
    ),
    Search(
        name="growing while moving",
        begin=(host("h1"), host("h2", TIGHT), shop(1)),
        first=(MOVE,),
        later=(ScaleNode(container="node1", reserved=GROWN),),
    ),
)
