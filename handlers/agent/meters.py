"""What an agent process counts, and shows to Prometheus."""

from collections import Counter
from collections.abc import Iterator, Mapping

from domain.messages import HostId
from domain.meters import Family, Meter
from handlers.agent.ledger import Ledger

SERVED = Meter("restow_agent_hosts", "gauge", "Hosts, and the router, that this process serves.")
ORDERS = Meter("restow_agent_orders_total", "counter", "Orders carried out, by outcome.")
STALE = Meter("restow_agent_stale_orders_total", "counter", "Orders of a former engine, refused.")
UNDER_WAY = Meter("restow_agent_orders_under_way", "gauge", "Orders that are being carried out.")
OWED = Meter("restow_agent_reports_owed", "gauge", "Reports that no engine has acknowledged yet.")
LOST = Meter("restow_agent_lost_total", "counter", "How often a host was lost and began anew.")

METERS = (SERVED, ORDERS, STALE, UNDER_WAY, OWED, LOST)


class Tally:
    """Counts since the process began, of all hosts that it serves."""

    def __init__(self) -> None:
        self.ledgers: dict[HostId, Ledger] = {}
        self.orders: Counter[str] = Counter()
        self.stale = 0
        self.lost = 0

    def families(self) -> Iterator[Family]:
        """Yield what is counted."""
        ledgers: Mapping[HostId, Ledger] = self.ledgers
        yield SERVED.of(len(ledgers))
        yield ORDERS.by("outcome", self.orders)
        yield STALE.of(self.stale)
        yield UNDER_WAY.of(sum(len(one.agent.under_way) for one in ledgers.values()))
        yield OWED.of(sum(len(one.agent.owed) for one in ledgers.values()))
        yield LOST.of(self.lost)
