"""The small regions in which triggers are searched: set, switched, fired, refused, removed."""

from msgspec.structs import replace

from domain.environment import RemoveEnvironment
from domain.messages import TriggerId
from domain.trigger import DisableTrigger, EnableTrigger, FireTrigger, RemoveTrigger, SetTrigger
from restow.exploring import START, Search
from restow.small import ILLNESS, LAYER, ONE, STEERING

RULE = SetTrigger(**LAYER, resource="cpu", add_above=70, max_count=2)
OTHER_RULE = SetTrigger(**LAYER, resource="cpu", add_above=80, max_count=2)
OFF, ON = DisableTrigger(trigger="tr1"), EnableTrigger(trigger="tr1")
GONE = RemoveTrigger(trigger="tr1")
WATCHED = (*ONE, RULE)


def fire(count: int, wanted: int) -> FireTrigger:
    return FireTrigger(
        trigger=TriggerId("tr1"), count=count, wanted=wanted, usage=80, since=START, why="usage"
    )


SEARCHES = (
    Search(name="a trigger fires", begin=WATCHED, first=(fire(1, 2),)),
    Search(
        name="a trigger is set, switched and removed while it scales",
        begin=WATCHED,
        first=(fire(1, 2),),
        later=(OFF, OTHER_RULE, ON, GONE),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="a trigger is refused, set, switched and removed",
        begin=WATCHED,
        first=(fire(1, 3), OTHER_RULE, OFF, RULE, ON, replace(RULE, enabled=False), GONE),
    ),
    Search(
        name="a trigger is set to be on or off while it scales",
        begin=WATCHED,
        first=(fire(1, 2),),
        later=(replace(OTHER_RULE, enabled=False), replace(RULE, enabled=True)),
        without=STEERING | ILLNESS,
    ),
    Search(
        name="a trigger is set, off and on",
        begin=ONE,
        first=(replace(RULE, enabled=False), replace(RULE, enabled=True), GONE),
    ),
    Search(
        name="a trigger goes with its layer",
        begin=WATCHED,
        first=(RemoveEnvironment(environment="shop"),),
        without=ILLNESS | STEERING,
    ),
    Search(
        name="a trigger that is off goes with its layer",
        begin=(*ONE, replace(RULE, enabled=False)),
        first=(RemoveEnvironment(environment="shop"),),
        without=ILLNESS | STEERING,
    ),
)
