"""Random stories: a fleet, an environment, and people who ask for this and that."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from domain.dead import DropDead
from domain.decider import Ask
from domain.environment import Affinity, CreateEnvironment, LayerSpec
from domain.evacuation import EvacuationState, ResumeEvacuation, StopEvacuation
from domain.messages import AskId, Command, HostId, PublicCommand, Tenant
from domain.migration import MigrateContainer
from domain.operation import CancelOperation, Operation, OperationState, ResumeOperation
from domain.rebalance import RebalanceState, ResumeRebalance, StopRebalance
from restow.simulation.machines import Nature
from restow.simulation.waves import about_triggers, come_to_rest, watched, wave
from restow.simulation.wishes import (
    EVENING,
    IN_A_CROWD,
    WISHES,
    Wish,
    about_letters,
    fill,
    limit_tenant,
    steer_rebalance,
)
from restow.simulation.world import World

PLANNED = 0.4
"""How often people ask by way of a plan."""
CROWDED = 0.25
"""Of how many worlds the hosts are nearly full from the beginning."""
MANY = CreateEnvironment(environment="many", layers=(LayerSpec(name="app", count=7),))
"""What is uneven as soon as there are more hosts."""
EVENED = 0.25
"""In how many worlds people ask for rebalances."""
SHOP = "shop"
TENANTS = (("blog", Tenant("blue")), ("mail", Tenant("red")))
"""Environments besides the shop, and whose they are."""


OUTAGES_MS = (2_000, 15_000, 22_000, 60_000, 200_000, None)
"""How long a host is not heard; one that died for ever, None. 22 s is fenced, and not yet lost."""


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
        takeover=dice.choice([0, 0, 0.02]),
        stumble=dice.choice([0, 0.03]),
    )


def begin(story: Story) -> tuple[World, Random]:
    """Make a world with a few hosts and a shop of two layers; beside it what tenants have."""
    dice = Random(story.seed)
    calmer: dict[str, Any] = dict.fromkeys(story.without, 0.0)
    outage = Random(f"{story.seed} outages").choice([0, 0, 0.15])
    world = World(story.seed, replace(replace(nature(dice), outage=outage), **calmer))
    world.hosts(dice.randint(3, 8), cloudlets=dice.choice([4, 6, 8, 16, 32]))
    app = LayerSpec(name="app", count=dice.randint(1, 4), reserved=2, limit=8)
    sql = LayerSpec(name="sql", count=2, anti_affinity="hard")
    world.ask(CreateEnvironment(environment="shop", layers=(app, sql)))
    for name, tenant in TENANTS[: dice.choice([0, 0, 1, 2])]:
        world.ask(theirs(name, dice), tenant=tenant)
    if is_crowded(story.seed):
        world.ask(fill(world, world.dice("crowd")))
    return world, dice


def theirs(name: str, dice: Random) -> CreateEnvironment:
    """Return an environment with layers of the same names; all of it may have to be apart."""
    groups: dict[str, Affinity] = dice.choice([{}, {"db": "hard"}, {"db": "soft"}])
    apart = tuple(groups)
    app = LayerSpec(name="app", count=dice.randint(1, 2), groups=apart, limit=4)
    sql = LayerSpec(name="sql", groups=apart, policy=dice.choice(["spread", "pack"]))
    return CreateEnvironment(environment=name, layers=(app, sql), groups=groups)


def is_crowded(seed: int) -> bool:
    """Say whether the hosts of a world are nearly full from the beginning."""
    return Random(f"{seed} crowd").random() < CROWDED


def is_evened(seed: int) -> bool:
    """Say whether people want a world to be even; most are left as they were without."""
    return Random(f"{seed} evened").random() < EVENED


def even_out(world: World, dice: Random) -> None:
    """Perhaps let somebody ask for a rebalance, or hold one; there is a layer of many for it."""
    if MANY.environment not in world.fleet.environments:
        world.ask(MANY)
    if dice.random() < 0.7:
        ask_for(world, dice.choice(EVENING)(world, dice), Tenant(""))
    going = any(not one.finished_at for one in world.fleet.rebalances.values())
    if going and dice.random() < 0.5:
        world.pass_(dice.choice([0, 10, 500]))
        ask_for(world, steer_rebalance(world, dice), Tenant(""))


def wishes_of(seed: int) -> int:
    """Return how many wishes people have in the whole of this story."""
    return Random(f"{seed} wishes").randint(3, 14)


def live(seed: int, wishes: Sequence[Wish] | None = None) -> World:
    """Let people ask at random, then let everything come to its end."""
    return play(Story(seed), wishes)


def play(story: Story, wishes: Sequence[Wish] | None = None) -> World:
    """Live a story to its end. Raises what `WENT_WRONG` lists."""
    world, dice = begin(story)
    usual = IN_A_CROWD if is_crowded(story.seed) else WISHES
    for number in range(wishes_of(story.seed)):
        if number not in story.skipped:
            strike(world, Random(f"{story.seed} outage {number}"))
            wish(world, Random(f"{story.seed} wish {number}"), wishes or usual)
            if wishes is None and is_evened(story.seed):
                even_out(world, Random(f"{story.seed} even {number}"))
            if watched(world):
                follow_usage(world, Random(f"{story.seed} wave {number}"))
    world.settle()
    go_on(world, dice)
    if watched(world):
        come_to_rest(world)
        go_on(world, dice)
    about_bounds(world, Random(f"{story.seed} bounds"))
    return world


def go_on(world: World, dice: Random) -> None:
    """Let everything go on, or end, that waits for a human."""
    while held := next(waits_for_somebody(world, dice), None):
        world.ask(held)
        world.settle()


def follow_usage(world: World, dice: Random) -> None:
    """Let usage be told for a while, and perhaps let somebody ask something of triggers."""
    if dice.random() < 0.5:
        ask_for(world, about_triggers(world, dice), Tenant(""))
    if dice.random() < 0.6:
        wave(world, dice)


def about_bounds(world: World, dice: Random) -> None:
    """Let people set limits and look after dead letters; none is left in the end."""
    for _ in range(dice.randint(0, 6)):
        world.ask(dice.choice((limit_tenant, about_letters, about_letters))(world, dice))
    for letter in tuple(world.fleet.dead):
        world.ask(DropDead(dead=letter, reason="the story is over"))


def strike(world: World, dice: Random) -> None:
    """Perhaps let a host die or be cut off, for a while or for ever."""
    if dice.random() < world.nature.outage:
        lasts = dice.choice(OUTAGES_MS)
        dead = lasts is None or dice.random() < 0.5
        world.outages.strike(dice.choice(sorted(world.fleet.hosts)), lasts, dead=dead)


def wish(world: World, dice: Random, wishes: Sequence[Wish]) -> None:
    """Let a while pass, perhaps let a container die or be ill; let somebody ask for something."""
    world.pass_(dice.choice([0, 10, 500, 3_000, 20_000]))
    if dice.random() < 0.05 and world.truth:
        world.machines.crash(dice.choice(sorted(world.truth)))
    if dice.random() < 0.1 and world.truth:
        world.machines.fall_ill(dice.choice(sorted(world.truth)), dice.randint(1_000, 60_000))
    if dice.random() < 0.05 and world.truth:
        everyone_leaves(world, dice.choice(sorted(world.truth.values())))
    command = dice.choice(wishes)(world, dice)
    others = sorted(set(world.fleet.environments) - {SHOP})
    if others and getattr(command, "environment", "") == SHOP and dice.random() < 0.4:
        command = replace(command, environment=dice.choice(others))
    asker = dice.choice([Tenant(""), Tenant(""), *(tenant for _, tenant in TENANTS)])
    ask_for(world, command, asker if others else Tenant(""))


def ask_for(world: World, command: Command, tenant: Tenant) -> None:
    """Ask, sometimes by way of a plan: then it does what the plan says, or is refused at once."""
    planned = world.dice(f"plan {len(world.journal)}").random() < PLANNED
    if planned and isinstance(command, PublicCommand):
        hold_to_plan(world, command, tenant)
    else:
        world.ask(command, tenant=tenant)


def hold_to_plan(world: World, command: Command, tenant: Tenant) -> None:
    ask = Ask(AskId("plan"), command, tenant=tenant, dry_run=True)
    answer, plan = world.region.plan(ask, world.now)
    commit = world.ask(command, expect_plan=plan.name if plan else None, tenant=tenant)
    written = tuple(event.fact for event in commit.events)
    if (commit.answer, written) != (answer, plan.facts if plan else ()):
        world.violate(f"{answer} was planned, with {plan}")
    if plan is not None and any(step.for_ms < 0 for step in plan.forecast.steps):
        world.violate(f"a step ends before it begins: {plan.forecast.steps}")


def everyone_leaves(world: World, host: HostId) -> None:
    """Let somebody ask that all containers of a host move away, all at once."""
    for name, where in sorted(world.truth.items()):
        if where == host:
            world.ask(MigrateContainer(container=name))


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
    for evened in world.fleet.rebalances.values():
        if evened.state is RebalanceState.PAUSED:
            yield (ResumeRebalance if dice.random() < 0.7 else StopRebalance)(rebalance=evened.id)


def is_held(operation: Operation) -> bool:
    """Say whether an operation waits for a human."""
    if operation.state is OperationState.FINISHED:
        return False
    return operation.paused or operation.state is OperationState.ASKING
