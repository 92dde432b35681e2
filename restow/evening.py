"""The small regions in which rebalances are searched: carried out, steered, overtaken, stopped."""

from domain.host import CordonHost
from domain.migration import MigrateContainer
from domain.operation import ScaleLayer
from domain.rebalance import RebalanceRegion
from restow.exploring import Search
from restow.small import ILLNESS, LAYER, LOSE, PHASES, STEERING, host, shop

UNEVEN = (host("h1"), shop(2), host("h2"))
MORE_UNEVEN = (host("h1"), shop(3), host("h2"), host("h3"))
EVEN = RebalanceRegion()
ONE_BY_ONE = RebalanceRegion(at_once=1)
STEERED = frozenset({"rebalance.pause", "rebalance.resume", "rebalance.stop"})
OTHERS_STEERED = STEERING - STEERED

SEARCHES = (
    Search(
        name="rebalance",
        begin=UNEVEN,
        first=(EVEN,),
        later=(MigrateContainer(container="node1"),),
        without=ILLNESS | PHASES,
    ),
    Search(
        name="rebalance by two moves", begin=MORE_UNEVEN, first=(EVEN,), without=ILLNESS | PHASES
    ),
    Search(
        name="rebalance of one that falls ill",
        begin=UNEVEN,
        first=(EVEN,),
        without=STEERING | PHASES,
    ),
    Search(
        name="rebalance behind a migration",
        begin=MORE_UNEVEN,
        first=(ONE_BY_ONE,),
        later=(MigrateContainer(container="node2", target="h3"),),
        without=OTHERS_STEERED | ILLNESS | PHASES,
    ),
    Search(
        name="rebalance to a host that is cordoned",
        begin=MORE_UNEVEN,
        first=(ONE_BY_ONE,),
        later=(CordonHost(host="h3"),),
        without=STEERING | ILLNESS | PHASES,
    ),
    Search(
        name="rebalance of what is removed",
        begin=UNEVEN,
        first=(EVEN,),
        later=(ScaleLayer(**LAYER, count=1),),
        without=STEERING | ILLNESS | PHASES,
    ),
    Search(
        name="rebalance from a host that is lost",
        begin=MORE_UNEVEN,
        first=(ONE_BY_ONE,),
        later=(LOSE,),
        without=STEERING | ILLNESS | PHASES | {"start failed"},
    ),
    Search(
        name="rebalance, offline",
        begin=UNEVEN,
        first=(RebalanceRegion(live=False),),
        without=PHASES | ILLNESS,
    ),
)
