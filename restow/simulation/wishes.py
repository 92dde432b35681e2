"""What people may wish for in a simulated world, drawn from dice."""

from collections.abc import Callable
from random import Random

from domain.dead import DropDead, KeepDead, RetryDead, SettleDead
from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import (
    CreateEnvironment,
    LayerSpec,
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
from domain.growth import CancelGrowth
from domain.host import CordonHost, RegisterHost, RelabelHost, RemoveHost, UncordonHost
from domain.messages import (
    CPU_OF_A_CLOUDLET_MHZ,
    MEMORY_OF_A_CLOUDLET_MIB,
    AskId,
    Code,
    Command,
    ContainerId,
    DeadId,
    Tenant,
)
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
from domain.rebalance import (
    Goal,
    PauseRebalance,
    RebalanceRegion,
    ResumeRebalance,
    StopRebalance,
)
from domain.tenant import LimitTenant, ResetTenant
from domain.vertical import FollowUsage
from restow.simulation.world import World

Wish = Callable[[World, Random], Command]

CROWDS = ("full", "fuller")
"""Environments that fill the hosts."""
HOSTS_MAX = 12
MORE_MAX = 6
"""Cloudlets that one asks for beyond what a container has."""


def some_container(world: World, dice: Random) -> str:
    """Choose a container; one that moves more often than others."""
    moving = sorted(world.fleet.moving.values())
    if moving and dice.random() < 0.5:
        return dice.choice(moving)
    return dice.choice(sorted(world.fleet.containers) or ["node1"])


def some_operation(world: World, dice: Random) -> str:
    """Choose an operation; one that is not over more often than others."""
    operations = world.fleet.operations
    going = [name for name, one in operations.items() if not one.finished_at]
    if going and dice.random() < 0.8:
        return dice.choice(sorted(going))
    return dice.choice(sorted(operations) or ["op1"])


def some_layer(dice: Random) -> str:
    return dice.choice(["app", "sql"])


def scale_layer(_world: World, dice: Random) -> Command:
    return ScaleLayer(
        environment="shop",
        layer=some_layer(dice),
        by=dice.randint(-3, 3),
        victim=dice.choice(["newest", "skew"]),
        accept_downtime=dice.random() < 0.2,
    )


def restart_layer(_world: World, dice: Random) -> Command:
    return RestartLayer(
        environment="shop",
        layer=some_layer(dice),
        delay_s=dice.choice([0, 5, 30]),
        mode=dice.choice(["sequential", "sequential", "sequential", "simultaneous"]),
        on_failure=dice.choice(["stop", "continue"]),
        surge=dice.random() < 0.2,
        accept_downtime=dice.random() < 0.2,
        ask=dice.random() < 0.1,
        queue=dice.random() < 0.8,
        remove_from_dns=dice.random() < 0.8,
    )


def redeploy_layer(_world: World, dice: Random) -> Command:
    return RedeployLayer(
        environment="shop",
        layer=some_layer(dice),
        image=f"restow/counter:{dice.randint(1, 3)}",
        delay_s=dice.choice([0, 5, 30]),
        mode=dice.choice(["sequential", "sequential", "sequential", "simultaneous"]),
        on_failure=dice.choice(["stop", "continue", "rollback", "rollback"]),
        surge=dice.random() < 0.2,
        accept_downtime=dice.random() < 0.2,
        ask=dice.random() < 0.1,
        queue=dice.random() < 0.8,
        remove_from_dns=dice.random() < 0.8,
    )


def deploy_application(_world: World, dice: Random) -> Command:
    archive = dice.choice([None, "https://example.org/shop.zip"])
    return DeployApplication(
        environment="shop",
        layer=some_layer(dice),
        archive=archive,
        vcs=None if archive else "https://git.example.org/shop.git",
        ref=None if archive else dice.choice(["main", "v1", "v2"]),
        delay_s=dice.choice([0, 5]),
        mode=dice.choice(["sequential", "sequential", "simultaneous"]),
        on_failure=dice.choice(["stop", "continue", "rollback"]),
        surge=dice.random() < 0.1,
    )


def set_limits(_world: World, dice: Random) -> Command:
    return SetCloudletLimits(
        environment="shop",
        layer=some_layer(dice),
        reserved=dice.choice([None, 1, 2, 4, 6]),
        limit=dice.randint(6, 9),
        delay_s=dice.choice([0, 5]),
        mode=dice.choice(["sequential", "sequential", "simultaneous"]),
        on_failure=dice.choice(["stop", "continue", "rollback"]),
        remove_from_dns=dice.random() < 0.3,
        surge=dice.random() < 0.1,
    )


def scale_node(world: World, dice: Random) -> Command:
    return ScaleNode(
        container=some_container(world, dice),
        reserved=dice.randint(1, 8),
        limit=8,
        force=dice.random() < 0.1,
        reason="because",
    )


def follow_usage(world: World, dice: Random) -> Command:
    name = ContainerId(some_container(world, dice))
    return FollowUsage(container=name, cloudlets=dice.randint(0, 10))


def migrate(world: World, dice: Random) -> Command:
    target = dice.choice([None, None, None, "h01", "h02"])
    return MigrateContainer(
        container=some_container(world, dice),
        target=target,
        queue=dice.random() < 0.7,
        deadline_s=dice.choice([1, 3, 30, 30]),
        force=target is not None and dice.random() < 0.2,
        reason="because",
    )


def remove_layer(_world: World, dice: Random) -> Command:
    if dice.random() < 0.2:
        return RemoveLayer(environment="shop", layer="sql")
    return RestartLayer(environment="shop", layer=some_layer(dice), delay_s=0)


def limit_tenant(_world: World, dice: Random) -> Command:
    tenant = dice.choice(["acme", "bravo", "_others"])
    if dice.random() < 0.3:
        return ResetTenant(tenant=tenant)
    return LimitTenant(tenant=tenant, rate=dice.randint(1, 9), kept=dice.choice([None, 500]))


def keep_dead(_world: World, dice: Random) -> Command:
    return KeepDead(
        origin=f"CMD/{dice.randint(1, 9)}",
        tenant=Tenant(dice.choice(["acme", "bravo"])),
        ask=AskId("poison"),
        command="layer.restart",
        code=Code.REQUEST_INVALID,
        detail="the body is not JSON",
        body=b"{",
        bytes=1,
    )


def about_letters(world: World, dice: Random) -> Command:
    return dice.choice((keep_dead, keep_dead, retry_dead, settle_dead, drop_dead))(world, dice)


def some_letter(world: World, dice: Random) -> str:
    return dice.choice(sorted(world.fleet.dead) or ["dl1"])


def retry_dead(world: World, dice: Random) -> Command:
    return RetryDead(dead=some_letter(world, dice))


def settle_dead(world: World, dice: Random) -> Command:
    letter = DeadId(some_letter(world, dice))
    attempt = world.fleet.dead[letter].attempt if letter in world.fleet.dead else 1
    return SettleDead(dead=letter, attempt=attempt, code="internal", poison=dice.random() < 0.5)


def drop_dead(world: World, dice: Random) -> Command:
    return DropDead(dead=some_letter(world, dice), reason="because")


def evacuate(world: World, dice: Random) -> Command:
    hosts = sorted(world.fleet.hosts)
    host = dice.choice(hosts)
    others = [name for name in hosts if name != host]
    return EvacuateHost(
        host=host,
        targets=tuple(dice.sample(others, 2)) if dice.random() < 0.3 and len(others) > 1 else (),
        live=dice.random() < 0.7,
        at_once=dice.choice([1, 2]),
    )


def restore(world: World, dice: Random) -> Command:
    return RestoreHost(host=dice.choice(sorted(world.fleet.hosts)), live=dice.random() < 0.7)


def uncordon(world: World, dice: Random) -> Command:
    return UncordonHost(host=dice.choice(sorted(world.fleet.hosts)))


def steer_evacuation(world: World, dice: Random) -> Command:
    one = dice.choice(sorted(world.fleet.evacuations) or ["ev1"])
    return dice.choice([PauseEvacuation, ResumeEvacuation, StopEvacuation])(evacuation=one)


def rebalance(world: World, dice: Random) -> Command:
    hosts = sorted(world.fleet.hosts)
    return RebalanceRegion(
        moves=dice.choice([1, 3, 10, 10]),
        goal=dice.choice(list(Goal)),
        environment=dice.choice([None, None, "shop"]),
        hosts=tuple(dice.sample(hosts, 2)) if dice.random() < 0.2 else (),
        live=dice.random() < 0.8,
        at_once=dice.choice([1, 1, 1, 2, 4]),
    )


def add_host(world: World, dice: Random) -> Command:
    """Register one more host, which is empty: what makes a fleet uneven."""
    number = min(len(world.fleet.hosts) + 1, HOSTS_MAX)
    cloudlets = dice.choice([8, 16, 32])
    return RegisterHost(
        host=f"h{number:02}",
        memory_mib=cloudlets * MEMORY_OF_A_CLOUDLET_MIB,
        cpu_mhz=cloudlets * CPU_OF_A_CLOUDLET_MHZ,
        disk_gib=500,
        labels={"zone": dice.choice("abc")},
    )


def steer_rebalance(world: World, dice: Random) -> Command:
    every = world.fleet.rebalances
    going = [name for name, one in every.items() if not one.finished_at]
    one = dice.choice(sorted(going or every) or ["rb1"])
    return dice.choice([PauseRebalance, ResumeRebalance, StopRebalance])(rebalance=one)


def held(world: World, name: str) -> int:
    one = world.fleet.containers.get(ContainerId(name))
    return one.allocated if one else 0


def fill(world: World, dice: Random) -> Command:
    """Put some containers on every host, so that little is free."""
    free = sorted(max(host.free, 0) for host in world.fleet.hosts.values())
    each = dice.randint(1, 3)
    size = max(free[len(free) // 2] // (each + dice.choice([0, 0, 1])), 1)
    crowd = LayerSpec(name="crowd", count=each * len(free), reserved=size, limit=size + 8)
    return CreateEnvironment(environment=dice.choice(CROWDS), layers=(crowd,))


def grow(world: World, dice: Random) -> Command:
    name = some_container(world, dice)
    more = dice.randint(1, MORE_MAX)
    return ScaleNode(
        container=name, reserved=held(world, name) + more, make_room=dice.random() < 0.9
    )


def grow_together(_world: World, dice: Random) -> Command:
    return SetCloudletLimits(
        environment=dice.choice(["shop", *CROWDS]),
        layer=dice.choice(["app", "crowd"]),
        reserved=dice.randint(2, 6),
        delay_s=0,
        mode=dice.choice(["sequential", "simultaneous"]),
        on_failure=dice.choice(["continue", "rollback"]),
    )


def use_more(world: World, dice: Random) -> Command:
    name = some_container(world, dice)
    more = dice.randint(-2, MORE_MAX)
    return FollowUsage(
        container=ContainerId(name), cloudlets=max(held(world, name) + more, 1), make_room=True
    )


def give_up(world: World, dice: Random) -> Command:
    return CancelGrowth(growth=dice.choice(sorted(world.fleet.growths) or ["gr1"]))


FIRST: tuple[Wish, ...] = (
    scale_layer,
    scale_layer,
    restart_layer,
    redeploy_layer,
    deploy_application,
    set_limits,
    scale_node,
    follow_usage,
    follow_usage,
    migrate,
    migrate,
    remove_layer,
    lambda world, dice: PauseOperation(operation=some_operation(world, dice)),
    lambda world, dice: ResumeOperation(operation=some_operation(world, dice)),
    lambda world, dice: CancelOperation(operation=some_operation(world, dice)),
    lambda _world, dice: CordonHost(host=dice.choice(["h01", "h03"])),
    lambda _world, dice: UncordonHost(host=dice.choice(["h01", "h03"])),
    lambda _world, dice: RelabelHost(host="h02", labels={"zone": dice.choice("abc")}),
    lambda _world, _dice: RemoveHost(host="h02"),
    lambda _world, _dice: StopEnvironment(environment="shop"),
    lambda _world, _dice: StartEnvironment(environment="shop"),
)
"""What people wished when the seeds of the first bank found their bugs."""
EMPTYING: tuple[Wish, ...] = (evacuate, evacuate, uncordon, restore, steer_evacuation)
EVENING: tuple[Wish, ...] = (add_host, add_host, rebalance, rebalance, rebalance)
"""What those wish who want it even."""
CROWDING: tuple[Wish, ...] = (fill, grow, grow, grow_together, use_more, use_more, give_up)
"""What those wish who have little room."""
WISHES = (*FIRST, *EMPTYING)
IN_A_CROWD = (*CROWDING * 3, *WISHES)
