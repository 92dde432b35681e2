"""A plan as the command line shows it, of a small shop: the example in `docs/plans.md`."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO

from domain.contracts.replies import Reply, reply_to
from domain.decider import Answered, Ask
from domain.environment import CreateEnvironment, LayerSpec
from domain.host import CordonHost, RegisterHost
from domain.messages import (
    CPU_OF_A_CLOUDLET_MHZ,
    MEMORY_OF_A_CLOUDLET_MIB,
    AskId,
    Command,
    Instant,
    PublicCommand,
)
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleNode
from domain.orders import ReportHealth, ReportOrder
from domain.problems import Problem
from domain.region import Region
from restow.cli.planned import show_plan
from restow.cli.talk import sentence

START = Instant(1_700_000_000_000)
NAME = "plan"
RESTART = RestartLayer(environment="shop", layer="app", delay_s=5)
MOVE = MigrateContainer(container="node1")
GROW = ScaleNode(container="node1", reserved=6)


def block(name: str) -> str:
    """Return the example called `name` as it stands in the page."""
    return f"```\n{EXAMPLES[name]()}```\n"


def restarting() -> str:
    """Return what is shown of a restart one by one."""
    return shown(planned(shop(), RESTART))


def outdated() -> str:
    """Return what a plan is refused with when its target was cordoned in between."""
    region = shop()
    reply = planned(region, MOVE)
    answer(region, CordonHost(host="h3", reason="new memory"))
    held = Ask(AskId("apply"), MOVE, expect_plan=str(reply.plan_name))
    refused = reply_to(Answered(region.decide(held, START).answer, region.position), "apply")
    if not isinstance(refused, Problem):
        message = f"the plan was applied: {refused}"
        raise TypeError(message)
    return f"error: {refused.code}: {refused.detail}\n"


def making_room() -> str:
    """Return what is shown of a size for which another container has to go."""
    return shown(planned(full(), GROW))


EXAMPLES = {"plan example": restarting, "plan outdated": outdated, "growth example": making_room}


def shop() -> Region:
    """Return a region of four hosts with a shop of two containers that serve."""
    region = Region()
    for number in range(1, 5):
        answer(region, host(f"h{number}", 32))
    layers = (LayerSpec(name="app", count=2, reserved=2, limit=8),)
    answer(region, CreateEnvironment(environment="shop", layers=layers))
    return served(region)


def full() -> Region:
    """Return a region of two hosts, with two containers that serve on the first of them."""
    region = Region()
    answer(region, host("h1", 8))
    for environment, reserved in (("shop", 4), ("blog", 3)):
        layers = (LayerSpec(name="app", reserved=reserved),)
        answer(region, CreateEnvironment(environment=environment, layers=layers))
    answer(region, host("h2", 8))
    return served(region)


def host(name: str, cloudlets: int) -> RegisterHost:
    return RegisterHost(
        host=name,
        memory_mib=cloudlets * MEMORY_OF_A_CLOUDLET_MIB,
        cpu_mhz=cloudlets * CPU_OF_A_CLOUDLET_MHZ,
        disk_gib=100,
    )


def served(region: Region) -> Region:
    """Let hosts do all that they were ordered."""
    while region.fleet.orders:
        for report in reports(region):
            answer(region, report)
    return region


def reports(region: Region) -> Sequence[Command]:
    """Return what the hosts report when each does what it was ordered."""
    told: list[Command] = []
    for order in region.fleet.orders.values():
        ask = AskId(f"{order.id}/r")
        told.append(ReportOrder(ask=ask, host=order.to, order=order.id, done=True))
        well = AskId(f"{order.id}/h")
        told.append(ReportHealth(ask=well, host=order.to, container=order.container, healthy=True))
    return told


def answer(region: Region, command: Command) -> None:
    region.decide(Ask(AskId(f"ask-{region.position}"), command), START)


def planned(region: Region, command: PublicCommand) -> Reply:
    """Return what the engine says to a dry run."""
    said, plan = region.plan(Ask(AskId(NAME), command, dry_run=True), START)
    reply = reply_to(Answered(said, region.position, plan), NAME)
    if not isinstance(reply, Reply):
        message = f"the example is refused: {reply.detail}"
        raise TypeError(message)
    return reply


def shown(reply: Reply) -> str:
    """Return what the command line prints."""
    with redirect_stdout(StringIO()) as printed:
        print(sentence(reply))  # noqa: T201 - into the page
        show_plan(reply)
    return printed.getvalue()
