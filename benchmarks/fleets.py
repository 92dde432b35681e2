"""Fleets and histories to measure on."""

from random import Random

from domain.chronicle import evolve
from domain.container import ContainerPlaced, Placing
from domain.decider import Ask, Commit, Frame
from domain.environment import (
    CreateEnvironment,
    EnvironmentCreated,
    LayerAdded,
    LayerSpec,
)
from domain.facts import Fact
from domain.fleet import Fleet
from domain.host import HostRegistered, RegisterHost
from domain.messages import (
    AskId,
    ContainerId,
    EnvironmentId,
    HostId,
    Instant,
    LayerName,
    OrderId,
)
from domain.operation import ScaleNode
from domain.orders import ReportOrder
from domain.region import Region
from domain.wire import FRAME_VERSION, count_events, encode_frame

AT = Instant(1_700_000_000_000)
CONTAINERS_A_LAYER = 10
LAYERS = ("web", "app", "sql")


def fleet_of(hosts: int, containers_a_host: int) -> Fleet:
    """Return a fleet of this size, a third of its containers in hard anti-affinity layers."""
    fleet = Fleet()
    for n in range(hosts):
        name = HostId(f"h{n:05}")
        evolve(fleet, HostRegistered(name, 64, 1_000, 8_192, 25_600, {"zone": f"z{n % 5}"}), AT)
    node = 0
    why = Placing("spread", hosts, hosts)
    for e in range(hosts * containers_a_host // (CONTAINERS_A_LAYER * len(LAYERS))):
        home = EnvironmentId(f"e{e}")
        evolve(fleet, EnvironmentCreated(home, "restow.internal"), AT)
        for label in LAYERS:
            layer = LayerName(label)
            spec = LayerSpec(name=label, anti_affinity="hard" if label == "sql" else "soft")
            evolve(fleet, LayerAdded(home, layer, spec), AT)
            for number in range(1, CONTAINERS_A_LAYER + 1):
                node += 1
                host = HostId(f"h{node * 7_919 % hosts:05}")
                one = ContainerId(f"node{node}")
                placed = ContainerPlaced(
                    one, home, layer, number, host, 1, 2, 1, f"{one}-e{e}", "10.0.0.1", why
                )
                evolve(fleet, placed, AT)
    return fleet


def furnished(hosts: int = 12, environments: int = 8) -> tuple[Region, list[Commit[Fact]]]:
    """Return a region with running containers, and how it came to be."""
    region = Region()
    commits: list[Commit[Fact]] = []
    for n in range(hosts):
        command = RegisterHost(
            host=f"h{n:02}",
            memory_mib=65_536,
            cpu_mhz=204_800,
            disk_gib=1_000,
            labels={"zone": "abc"[n % 3]},
        )
        commits.append(region.decide(Ask(AskId(f"host-{n}"), command), AT))
    for n in range(environments):
        spec = LayerSpec(name="app", count=6, limit=8)
        create = CreateEnvironment(environment=f"e{n}", layers=(spec,))
        commits.append(region.decide(Ask(AskId(f"env-{n}"), create), AT))
    commits.extend(answer_all(region))
    return region, commits


def answer_all(region: Region) -> list[Commit[Fact]]:
    """Let every outstanding order be carried out."""
    return [answer(region, name) for name in list(region.fleet.orders)]


def answer(region: Region, name: OrderId) -> Commit[Fact]:
    order = region.fleet.orders[name]
    report = ReportOrder(ask=AskId(f"{name}/r"), host=order.to, order=name, done=True)
    return region.decide(Ask(report.ask, report), region.at)


def history(events: int, seed: int = 1) -> list[Commit[Fact]]:
    """Return commits with about this many events: containers scaled and their hosts following."""
    region, commits = furnished()
    dice = Random(seed)
    names = list(region.fleet.containers)
    while region.position < events:
        scale = ScaleNode(container=dice.choice(names), reserved=dice.randint(1, 8))
        commits.append(region.decide(Ask(AskId(f"s{len(commits)}"), scale), region.at))
        commits.extend(answer_all(region))
    return commits


def frames_of(commits: list[Commit[Fact]], events_a_frame: int) -> list[bytes]:
    """Return the commits as frames of about `events_a_frame` events."""
    frames: list[bytes] = []
    group: list[Commit[Fact]] = []
    position = 1
    for commit in commits:
        group.append(commit)
        if count_events(group) >= events_a_frame:
            frame = Frame(FRAME_VERSION, 1, position, b"\0" * 32, tuple(group))
            frames.append(encode_frame(frame))
            position += count_events(group)
            group = []
    return frames
