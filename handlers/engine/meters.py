"""What an engine shows to Prometheus."""

from collections import Counter
from collections.abc import Iterable, Iterator

from domain.evacuation import Evacuation
from domain.fleet import Fleet
from domain.growth import Growth
from domain.meters import Family, Meter
from domain.migration import Migration
from domain.operation import Operation
from domain.rebalance import Rebalance
from domain.recovery import Recovery
from domain.region import Region
from handlers.engine.tally import Tally

LEADS = Meter("restow_engine_leads", "gauge", "1 while this engine leads.")
EPOCH = Meter("restow_engine_epoch", "gauge", "Epoch of the journal as this engine knows it.")
POSITION = Meter("restow_engine_position", "gauge", "Position up to which it knows the journal.")
SAFE = Meter("restow_engine_safe", "gauge", "1 where what is acknowledged survives a power cut.")
ELECTIONS = Meter("restow_engine_elections_total", "counter", "How often it came to lead.")
ANSWERS = Meter("restow_asks_answered_total", "counter", "Asks carried out, by answer.")
REFUSED = Meter("restow_asks_refused_total", "counter", "Asks refused and journaled so, by code.")
TURNED = Meter("restow_asks_turned_away_total", "counter", "Commands that met a tenant's limit.")
BUGS = Meter("restow_asks_bugs_total", "counter", "Asks answered `internal`: mistakes of ours.")
WAITING = Meter("restow_asks_waiting", "gauge", "Asks that wait to be decided.")
FRAMES = Meter("restow_journal_frames_total", "counter", "Frames stored.")
EVENTS = Meter("restow_journal_events_total", "counter", "Events in them.")
STORING = Meter("restow_journal_seconds", "histogram", "How long a frame took to be stored.")
OWED = Meter("restow_orders_outstanding", "gauge", "Orders that are not answered yet.")
SENT = Meter("restow_orders_sent_total", "counter", "Orders sent, each repetition counted.")
HOSTS = Meter("restow_hosts", "gauge", "Hosts, by state.")
KNOWN = Meter("restow_known", "gauge", "How many there are of each kind of thing.")
SAGAS = Meter("restow_sagas", "gauge", "Sagas that are not over, by kind and state.")
DEAD = Meter("restow_dead_letters", "gauge", "Dead letters that wait for a human.")
STORM = Meter("restow_storm", "gauge", "1 while too many hosts are silent to place anything anew.")

Saga = Operation | Migration | Evacuation | Recovery | Growth | Rebalance
METERS = (
    *(LEADS, EPOCH, POSITION, SAFE, ELECTIONS, ANSWERS, REFUSED, TURNED, BUGS, WAITING),
    *(FRAMES, EVENTS, STORING, OWED, SENT, HOSTS, KNOWN, SAGAS, DEAD, STORM),
)


def counted(tally: Tally) -> Iterator[Family]:
    """Yield what was counted while this engine led."""
    yield ELECTIONS.of(tally.elections)
    yield ANSWERS.by("answer", tally.answers)
    yield REFUSED.by("code", tally.refused)
    yield TURNED.of(tally.turned_away)
    yield BUGS.of(tally.bugs)
    yield FRAMES.of(tally.frames)
    yield EVENTS.of(tally.events)
    yield Family(STORING, list(tally.storing.samples()))
    yield SENT.of(tally.orders_sent)


def known(region: Region) -> Iterator[Family]:
    """Yield what there is in the region, as this engine knows it; containers are not walked."""
    fleet = region.fleet
    yield EPOCH.of(region.epoch)
    yield POSITION.of(region.position)
    yield OWED.of(len(fleet.orders))
    yield HOSTS.by("state", Counter(host.state.value for host in fleet.hosts.values()))
    tables = ("environments", "layers", "containers", "triggers")
    yield KNOWN.by("kind", {name: len(getattr(fleet, name)) for name in tables})
    yield sagas(fleet)
    yield DEAD.of(len(fleet.dead))
    yield STORM.of(fleet.storm is not None)


def sagas(fleet: Fleet) -> Family:
    """Return how many sagas go on, by kind and state."""
    tables: tuple[tuple[str, Iterable[Saga]], ...] = (
        ("operation", fleet.operations.values()),
        ("migration", fleet.migrations.values()),
        ("evacuation", fleet.evacuations.values()),
        ("recovery", fleet.recoveries.values()),
        ("growth", fleet.growths.values()),
        ("rebalance", fleet.rebalances.values()),
    )
    counts = Counter(
        (kind, saga.state.value) for kind, table in tables for saga in table if not saga.finished_at
    )
    labelled = sorted(counts.items())
    return Family(SAGAS, [("", {"kind": k, "state": s}, n) for (k, s), n in labelled])
