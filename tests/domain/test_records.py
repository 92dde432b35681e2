"""The record of a container that is gone goes too, however long it takes."""

import pytest

from domain.environment import RemoveEnvironment
from domain.loss import LoseHost
from domain.operation import ScaleLayer
from domain.orders import OrderAnswered, OrderIssued, RouteIn, RouteOut, Stop
from domain.reports import RECORD_AGAIN_MS
from restow.simulation.ending import check_end
from tests.examples import Scene, given, hosts, shop

LATE = 140_000
"""Later than a step waits for an answer, in milliseconds."""


def given_up() -> Scene:
    """Return a shop whose node2 was to go; who removed it gave up and put it back into DNS."""
    scene = given(hosts(3), shop(2))
    scene.world.machines.unheard.add(Stop)
    scene.ask(ScaleLayer(environment="shop", layer="app", count=1))
    scene.pass_(LATE)
    assert scene.operation(2).outcome == "failed"
    assert scene.container("node2").routed
    return scene


def hear(scene: Scene) -> None:
    """Let the answers arrive that were not heard."""
    machines = scene.world.machines
    machines.unheard.clear()
    for report in machines.answered_unheard:
        scene.world.report(report)
    machines.answered_unheard.clear()


def outs(scene: Scene) -> list[OrderIssued]:
    """Return the orders of nobody's saga to take the record of node2 away."""
    issued = scene.happened(OrderIssued)
    return [o for o in issued if o.container == "node2" and not o.saga]


def test_a_removal_from_dns_that_fails_is_tried_until_it_is_done() -> None:
    scene = given_up().fail("node2", RouteOut, times=3)

    hear(scene)
    scene.settle()

    assert scene.world.machines.records == {"node1"}
    orders = {one.order for one in outs(scene)}
    answers = [one.done for one in scene.happened(OrderAnswered) if one.order in orders]
    assert answers == [False, False, False, True]
    check_end(scene.world)


def test_each_further_try_waits_for_a_while() -> None:
    scene = given_up().fail("node2", RouteOut)

    hear(scene)
    scene.settle()

    first, second = outs(scene)
    failed_at = next(
        at
        for at, fact in scene.world.happened()
        if isinstance(fact, OrderAnswered) and fact.order == first.order
    )
    assert (first.after, second.after) == (0, failed_at + RECORD_AGAIN_MS)
    assert second.work == first.work


def test_it_is_tried_on_when_its_environment_is_no_more() -> None:
    scene = given(hosts(3), shop(1))
    scene.world.machines.unheard.add(Stop)
    scene.ask(RemoveEnvironment(environment="shop"))
    scene.pass_(LATE)
    scene.fail("node1", RouteOut, times=2)

    hear(scene)
    scene.settle()

    assert not scene.fleet.environments
    assert not scene.world.machines.records
    check_end(scene.world)


def test_a_record_of_which_is_heard_when_its_container_is_gone_goes_too() -> None:
    scene = given(hosts(3), shop(2))
    scene.world.machines.unheard.update({RouteIn, Stop})
    scene.ask(ScaleLayer(environment="shop", layer="app", by=1))
    scene.pass_(LATE)
    scene.ask(ScaleLayer(environment="shop", layer="app", by=-1))
    scene.ask(LoseHost(host=scene.container("node3").host, reason="it burnt down"))
    assert scene.names() == ("node1", "node2")
    assert "node3" in scene.world.machines.records

    hear(scene)
    scene.settle()

    assert scene.world.machines.records == {"node1", "node2"}


@pytest.mark.parametrize("fails", [0, 2])
def test_what_goes_with_its_host_leaves_no_record(fails: int) -> None:
    """Its removal was ordered, given up, and is answered by the loss of its host."""
    scene = given_up().fail("node2", RouteOut, times=fails)
    scene.world.machines.answered_unheard.clear()
    host = scene.container("node2").host

    scene.ask(LoseHost(host=host, reason="it burnt down"))
    scene.settle()

    assert scene.names() == ("node1",)
    assert scene.world.machines.records == {"node1"}
