"""What small regions are made of in which the sagas are searched, and what is asked there."""

from typing import Any

from domain.deployment import RedeployLayer
from domain.environment import (
    CreateEnvironment,
    LayerSpec,
    StopEnvironment,
)
from domain.evacuation import EvacuateHost
from domain.host import RegisterHost
from domain.loss import LoseHost, ReturnHost, Silent, WatchHosts
from domain.messages import (
    CPU_OF_A_CLOUDLET_MHZ,
    MEMORY_OF_A_CLOUDLET_MIB,
    ContainerId,
    HostId,
)
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, SetCloudletLimits
from domain.vertical import FollowUsage

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
        "rebalance.pause",
        "rebalance.resume",
        "rebalance.stop",
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


def growing(limit: int) -> CreateEnvironment:
    """Return a shop of one container that may hold up to `limit` cloudlets."""
    layer = LayerSpec(name="app", limit=limit)
    return CreateEnvironment(environment="shop", layers=(layer,))


def uses(cloudlets: int) -> FollowUsage:
    return FollowUsage(container=ContainerId("node1"), cloudlets=cloudlets, make_room=True)


def other(environment: str) -> CreateEnvironment:
    return CreateEnvironment(environment=environment, layers=(LayerSpec(name="app"),))


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
