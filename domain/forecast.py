"""Tells a story that was played out: steps, moves, hosts before and after, DNS, and the time."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec.structs import replace

from domain.container import (
    ContainerPlaced,
    ContainerRemoved,
    ContainerRouted,
    ContainerUnrouted,
)
from domain.fleet import Fleet
from domain.host import Host
from domain.messages import ContainerId, Event, HostId, Instant, MigrationId, OperationId
from domain.migration import (
    MigrationAbandoned,
    MigrationCompleted,
    MigrationGranted,
    MigrationReverted,
)
from domain.operation import StepFinished, StepStarted
from domain.orders import OrderAnswered, OrderIssued, RouteOut
from domain.plan import (
    DnsWindow,
    Ending,
    Forecast,
    HostChange,
    Move,
    PlannedStep,
    Source,
    TimePart,
)
from domain.playing import Play, Scene, is_over, saga_at, saga_of

Key = tuple[str, ContainerId]


def foretell(fleet: Fleet, play: Play) -> Forecast:
    """Return what a story comes to; `fleet` still is as it would be at the end."""
    scenes = own_scenes(play)
    teller = Teller(fleet, play.start)
    for saga in play.own:
        teller.take_up(saga)
    for scene in scenes:
        for fact in scene.facts:
            if play.tells(fact, scene):
                teller.hear(fact, scene.at)
    time = (*parts(scenes), *rest(fleet, play, scenes[-1].at))
    return Forecast(
        duration_ms=sum(part.ms for part in time),
        whole=not play.cut and all(is_over(fleet, saga) for saga in play.own),
        endings=tuple(endings(fleet, play)),
        time=time,
        steps=tuple(teller.steps),
        moves=tuple(teller.moves),
        hosts=tuple(changes(fleet)),
        dns=tuple(teller.windows.values()),
    )


def own_scenes(play: Play) -> Sequence[Scene]:
    """Return the scenes up to the last one in which something of ours happened."""
    last = 0
    for number, scene in enumerate(play.scenes):
        if scene.ours or any(play.tells(fact, scene) for fact in scene.facts):
            last = number
    return play.scenes[: last + 1]


def parts(scenes: Sequence[Scene]) -> tuple[TimePart, ...]:
    """Return what the time is made of: each stretch belongs to what was waited for at its end."""
    found: dict[tuple[str, Source], tuple[int, int]] = {}
    for before, scene in pairwise(scenes):
        if scene.at > before.at:
            ms, times = found.get((scene.what, scene.source), (0, 0))
            found[scene.what, scene.source] = (ms + scene.at - before.at, times + 1)
    return tuple(TimePart(what, ms, times, source) for (what, source), (ms, times) in found.items())


def rest(fleet: Fleet, play: Play, end: Instant) -> Iterable[TimePart]:
    """Give the time for steps that were too many to be played out: as long each as those before."""
    if not play.cut:
        return
    for saga in play.own:
        one = fleet.operations.get(OperationId(saga))
        if one is not None and one.settings.sequential and one.over and one.todo:
            each = (end - play.start) / len(one.over)
            yield TimePart("rest", round(each * len(one.todo)), len(one.todo), "default")


def endings(fleet: Fleet, play: Play) -> Iterable[Ending]:
    """Give how each saga that the command itself touches stands at the end."""
    first = dict.fromkeys(saga_of(fact) for fact in play.scenes[0].facts)
    for saga in first:
        one = saga_at(fleet, saga)
        if one is not None:
            yield Ending(saga, getattr(one, "outcome", "") or one.state.value, one.detail)


def changes(fleet: Fleet) -> Iterable[HostChange]:
    """Give the hosts that promise something else at the end than at the start."""
    for name, old in sorted(fleet.before(fleet.hosts).items()):
        change = HostChange(name, *carried(old, fleet.hosts.get(name)))
        before = (change.before, change.containers_before, change.disk_before)
        if before != (change.after, change.containers_after, change.disk_after):
            yield change


def carried(old: Host | None, new: Host | None) -> tuple[int, int, int, int, int, int, int]:
    """Return a host's cloudlets, and what it promises before and after."""
    one = new or old
    was = (old.used, old.containers, old.used_disk) if old else (0, 0, 0)
    now = (new.used, new.containers, new.used_disk) if new else (0, 0, 0)
    return (one.cloudlets if one else 0, was[0], now[0], was[1], now[1], was[2], now[2])


class Teller:
    """Hears the facts of a story in order, and keeps what is to be told of them."""

    def __init__(self, fleet: Fleet, start: Instant) -> None:
        self._start = start
        self._homes = fleet.before(fleet.containers)
        self._operations = fleet.before(fleet.operations)
        self._migrations = fleet.before(fleet.migrations)
        self._hosts: dict[ContainerId, HostId] = {}
        self._names: dict[ContainerId, tuple[str, ...]] = {}
        self._open: dict[Key, int] = {}
        self.steps: list[PlannedStep] = []
        self.moves: list[Move] = []
        self.windows: dict[tuple[ContainerId, int], DnsWindow] = {}
        self._away: dict[ContainerId, tuple[ContainerId, int]] = {}

    def take_up(self, saga: str) -> None:
        """Go on with the steps and the move that were under way before the command."""
        operation = self._operations.get(OperationId(saga))
        for step in operation.steps if operation else ():
            self._begin((saga, step.planned.container), step.planned.kind.value, 0)
        migration = self._migrations.get(MigrationId(saga))
        if migration is not None and migration.order is not None:
            self._begin((saga, migration.container), "migrate", 0)

    def hear(self, fact: Event, at: Instant) -> None:
        now = at - self._start
        self._hear_steps(fact, now)
        self._hear_orders(fact, now)
        self._hear_moves(fact, now)
        self._hear_routes(fact, now)

    # Steps

    def _hear_steps(self, fact: Event, now: int) -> None:
        match fact:
            case StepStarted(operation=saga, container=container, kind=kind):
                self._begin((saga, container), kind.value, now)
            case MigrationGranted(migration=saga, container=container):
                self._begin((saga, container), "migrate", now)
            case StepFinished(operation=saga, container=container, outcome=outcome):
                self._end((saga, container), now, outcome.value, fact.detail)
            case MigrationCompleted(migration=saga, container=container):
                self._end((saga, container), now, "done")
            case MigrationReverted() | MigrationAbandoned():
                self._end((fact.migration, fact.container), now, "failed", fact.detail)
            case _:
                pass

    def _hear_orders(self, fact: Event, now: int) -> None:
        if isinstance(fact, OrderIssued):
            self._order(fact, now)
        elif isinstance(fact, OrderAnswered):
            key = (str(fact.order), fact.container)
            if key in self._open:
                self._end(key, now, "done" if fact.done else "failed")

    def _begin(self, key: Key, kind: str, now: int) -> None:
        saga = "" if key[0].startswith("or") else key[0]
        self._open[key] = len(self.steps)
        self.steps.append(PlannedStep(key[1], kind, now, 0, "open", saga))

    def _end(self, key: Key, now: int, outcome: str, detail: str = "") -> None:
        if key not in self._open:
            self._begin(key, "", now)
        number = self._open.pop(key)
        step = self.steps[number]
        self.steps[number] = replace(step, for_ms=now - step.at_ms, outcome=outcome, detail=detail)

    def _order(self, fact: OrderIssued, now: int) -> None:
        """Count an order to the step that it is part of; without one it is a step of its own."""
        work = str(fact.work.__struct_config__.tag)
        key = (fact.saga, fact.container)
        if key not in self._open:
            key = (str(fact.order), fact.container)
            self._begin(key, work, now)
        number = self._open[key]
        step = self.steps[number]
        orders = (*step.orders, f"{work} {fact.to}")
        self.steps[number] = replace(step, orders=orders)
        if isinstance(fact.work, RouteOut):
            self._names[fact.container] = fact.work.names

    # Moves

    def _home(self, container: ContainerId) -> HostId | None:
        """Return where a container is at this point of the story."""
        before = self._homes.get(container)
        return self._hosts.get(container) or (before.host if before else None)

    def _hear_moves(self, fact: Event, now: int) -> None:
        match fact:
            case ContainerPlaced(container=name, host=host):
                self._hosts[name] = host
                self.moves.append(Move(name, "placed", now, target=host))
            case MigrationCompleted(container=name, source=source, target=target):
                self._hosts[name] = target
                self.moves.append(Move(name, "moved", now, source, target, fact.freeze_ms))
            case ContainerRemoved(container=name):
                self.moves.append(Move(name, "removed", now, self._home(name)))
            case _:
                pass

    # DNS

    def _hear_routes(self, fact: Event, now: int) -> None:
        match fact:
            case ContainerUnrouted(container=name):
                self._away[name] = key = (name, now)
                self.windows[key] = DnsWindow(name, self._names.get(name, ()), now, None)
            case ContainerRouted(container=name) if name in self._away:
                key = self._away.pop(name)
                window = self.windows[key]
                self.windows[key] = replace(window, for_ms=now - window.at_ms)
            case _:
                pass
