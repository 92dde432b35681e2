"""Random stories: a fleet, an environment, and people who ask for this and that."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from domain.dead import DropDead, KeepDead, RetryDead, SettleDead
from domain.decider import Ask
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
    EvacuationState,
    PauseEvacuation,
    RestoreHost,
    ResumeEvacuation,
    StopEvacuation,
)
from domain.host import CordonHost, RelabelHost, RemoveHost, UncordonHost
from domain.messages import AskId, Code, Command, ContainerId, DeadId, PublicCommand, Tenant
from domain.migration import MigrateContainer
from domain.operation import (
    CancelOperation,
    Operation,
    OperationState,
    PauseOperation,
    RestartLayer,
    ResumeOperation,
    ScaleLayer,
    ScaleNode,
    SetCloudletLimits,
)
from domain.tenant import LimitTenant, ResetTenant
from domain.vertical import FollowUsage
from restow.simulation.machines import Nature
from restow.simulation.violation import ViolationError
from restow.simulation.world import World

CALM = Nature()


class Story(msgspec.Struct, frozen=True):
    """One life: its seed, less the wishes `skipped` and the kinds of harm it goes `without`.

    Every wish and every fault has dice of its own: leaving one out leaves the others as they are.
    """

    seed: int
    skipped: frozenset[int] = frozenset()
    without: frozenset[str] = frozenset()


def nature(dice: Random) -> Nature:
    """Draw how harsh a world is; some are not harsh at all."""
    return Nature(
        failure=dice.choice([0, 0, 0.1, 0.3]),
        repeat=dice.choice([0, 0.3]),
        kill=dice.choice([0, 0.02]),
        loss=dice.choice([0, 0.2]),
        late=dice.choice([0, 0, 0.05]),
        forget=dice.choice([0, 0.02]),
    )


def begin(story: Story) -> tuple[World, Random]:
    """Make a world with a few hosts and an environment of two layers."""
    dice = Random(story.seed)
    calmer: dict[str, Any] = dict.fromkeys(story.without, 0.0)
    world = World(story.seed, replace(nature(dice), **calmer))
    world.hosts(dice.randint(3, 8), cloudlets=dice.choice([8, 16, 32]))
    app = LayerSpec(name="app", count=dice.randint(1, 4), reserved=2, limit=8)
    sql = LayerSpec(name="sql", count=2, anti_affinity="hard")
    world.ask(CreateEnvironment(environment="shop", layers=(app, sql)))
    return world, dice


def wishes_of(seed: int) -> int:
    """Return how many wishes people have in the whole of this story."""
    return Random(f"{seed} wishes").randint(3, 14)


def live(seed: int, wishes: Sequence["Wish"] | None = None) -> World:
    """Let people ask at random, then let everything come to its end."""
    return play(Story(seed), wishes)


def play(story: Story, wishes: Sequence["Wish"] | None = None) -> World:
    """Live a story to its end. Raises what `WENT_WRONG` lists."""
    world, dice = begin(story)
    for number in range(wishes_of(story.seed)):
        if number not in story.skipped:
            wish(world, Random(f"{story.seed} wish {number}"), wishes or WISHES)
    world.settle()
    while held := next(waits_for_somebody(world, dice), None):
        world.ask(held)
        world.settle()
    about_bounds(world, Random(f"{story.seed} bounds"))
    return world


def about_bounds(world: World, dice: Random) -> None:
    """Let people set limits and look after dead letters; none is left in the end."""
    for _ in range(dice.randint(0, 6)):
        world.ask(dice.choice((limit_tenant, about_letters, about_letters))(world, dice))
    for letter in tuple(world.fleet.dead):
        world.ask(DropDead(dead=letter, reason="the story is over"))


def wish(world: World, dice: Random, wishes: Sequence["Wish"]) -> None:
    """Let a while pass, perhaps let a container die, and let somebody ask for something."""
    world.pass_(dice.choice([0, 10, 500, 3_000, 20_000]))
    if dice.random() < 0.05 and world.truth:
        world.machines.crash(dice.choice(sorted(world.truth)))
    ask_for(world, dice.choice(wishes)(world, dice))


def ask_for(world: World, command: Command) -> None:
    """Ask, sometimes by way of a plan: then it does what the plan says, or is refused at once."""
    planned = world.dice(f"plan {len(world.journal)}").random() < PLANNED
    if planned and isinstance(command, PublicCommand):
        hold_to_plan(world, command)
    else:
        world.ask(command)


def hold_to_plan(world: World, command: Command) -> None:
    ask = Ask(AskId("plan"), command, dry_run=True)
    answer, plan = world.region.plan(ask, world.now)
    commit = world.ask(command, expect_plan=plan.name if plan else None)
    written = tuple(event.fact for event in commit.events)
    if (commit.answer, written) != (answer, plan.facts if plan else ()):
        raise ViolationError(world.story(f"{answer} was planned, with {plan}"))


def waits_for_somebody(world: World, dice: Random) -> Iterator[Command]:
    """Give what lets everything go on, or end, that waits for a human."""
    for asked in world.fleet.operations.values():
        if is_held(asked):
            resume = asked.cancelled or dice.random() < 0.5
            yield (ResumeOperation if resume else CancelOperation)(operation=asked.id)
    for emptied in world.fleet.evacuations.values():
        if emptied.state is EvacuationState.PAUSED:
            yield (ResumeEvacuation if dice.random() < 0.7 else StopEvacuation)(
                evacuation=emptied.id
            )


def is_held(operation: Operation) -> bool:
    """Say whether an operation waits for a human."""
    if operation.state is OperationState.FINISHED:
        return False
    return operation.paused or operation.state is OperationState.ASKING


def some_container(world: World, dice: Random) -> str:
    return dice.choice(sorted(world.fleet.containers) or ["node1"])


def some_operation(world: World, dice: Random) -> str:
    return dice.choice(sorted(world.fleet.operations) or ["op1"])


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


PLANNED = 0.4
"""How often people ask by way of a plan."""

Wish = Callable[[World, Random], Command]


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
WISHES = (*FIRST, *EMPTYING)
