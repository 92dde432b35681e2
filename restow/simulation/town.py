"""Hosts, engines and two networks, on clocks of their own: the real lease and the real watch.

The truth is when something may run on a host: while its switch is armed. The host arms it up to the
end of its lease, or as long as the jurors keep it; it goes off by itself, whatever becomes of
the agent. A host that the journal says is lost must not run anything until it has come back.
"""

import heapq
from collections.abc import Callable
from functools import partial
from random import Random

from domain.chronicle import evolve
from domain.decider import Ask
from domain.host import HostLost, HostReturned, RegisterHost
from domain.lease import Beat, Grant, Lease, Standing, Terms
from domain.loss import ReturnHost, StormRaised
from domain.messages import AskId, Command, HostId, Instant
from domain.region import Region
from domain.watch import Watch
from restow.simulation.violation import ViolationError

TERMS = Terms()
DRIFT = 0.001
LOOK_MS = 500
ASK_MS = 1_000
LATE_MS = 40_000
NOWHERE = "nowhere"
TOLD_MAX = 120


class Clock:
    """Its own time, a little too fast or too slow, from its own beginning."""

    def __init__(self, dice: Random) -> None:
        self._offset = dice.randint(0, 10_000_000)
        self._rate = 1 + dice.uniform(-DRIFT, DRIFT)

    def read(self, now: int) -> int:
        return self._offset + int(now * self._rate)


class Machine:
    """A host with its agent. What it remembers over a restart is its term, and its switch."""

    def __init__(self, town: "Town", name: str) -> None:
        self.name = HostId(name)
        self.clock = Clock(town.dice(f"clock {name}"))
        self.switch = 0
        self.term = 0
        self.incarnation = 0
        self.awake_at = 0
        self.dead = False
        self.fenced = 0
        self.lease = Lease(self.name, 0, self.clock.read(0))

    def runs(self, now: int) -> bool:
        return not self.dead and self.clock.read(now) < self.switch

    def arm(self, now: int) -> None:
        """Arm the switch for longer, and count when it has gone off already."""
        ends = self.lease.ends
        if ends <= self.switch:
            return
        if self.switch and not self.runs(now) and ends > self.clock.read(now):
            self.fenced += 1
        self.switch = ends

    def restart(self, now: int) -> None:
        self.incarnation += 1
        self.lease = Lease(self.name, self.incarnation, self.clock.read(now), self.switch)


class Engine:
    """An engine that leads, or believes so."""

    def __init__(self, town: "Town", name: str, epoch: int, region: Region) -> None:
        self.name = name
        self.epoch = epoch
        self.region = region
        self.clock = Clock(town.dice(f"clock {name} {epoch}"))
        self.watch = Watch(epoch, self.clock.read(town.now), TERMS)
        self.over = False
        self.awake_at = 0


class Town:
    """One region: `run` it, then look at `lost`, `storms`, and who was fenced."""

    def __init__(self, seed: int, hosts: int) -> None:
        self.seed = seed
        self.now = 0
        self.trace: list[str] = []
        self.epoch = 0
        self.journal = Region()
        self.lost: dict[HostId, int] = {}
        self.storms = 0
        self.bus: dict[str, str] = {}
        self.wire: dict[str, str] = {}
        self.late = 0.0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self.asked = 0
        self._post = self.dice("post")
        self.carried = 0
        self.machines = {HostId(f"h{n}"): Machine(self, f"h{n}") for n in range(1, hosts + 1)}
        self.engines: list[Engine] = []
        for number, name in enumerate(self.machines):
            zone = "abc"[number % 3]
            self.write(
                RegisterHost(
                    host=name, memory_mib=4_096, cpu_mhz=16_000, disk_gib=9, labels={"zone": zone}
                )
            )
        self.take_over("e0")
        for machine in self.machines.values():
            self._turn(machine)

    def dice(self, purpose: str) -> Random:
        return Random(f"{self.seed} {purpose}")

    def at(self, when: int, what: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (max(when, self.now), self._order, what))

    def run(self, until: int) -> "Town":
        while self._heap and self._heap[0][0] <= until:
            self.now, _, what = heapq.heappop(self._heap)
            what()
            if self.lost:
                self.check()
        self.now = until
        self.check()
        return self

    def check(self) -> None:
        """Nothing runs on a host that is lost."""
        for host in self.lost:
            if self.machines[host].runs(self.now):
                raise ViolationError(self.story(f"{host} is lost and runs"))

    def story(self, wrong: str) -> str:
        return "\n".join([f"town {self.seed}", *self.trace[-TOLD_MAX:], f"{self.now}: {wrong}"])

    def say(self, what: str) -> None:
        self.trace.append(f"{self.now:>8} {what}")

    # The journal, which takes what the newest engine writes and nothing else

    def write(self, command: Command) -> None:
        self.asked += 1
        ask = Ask(AskId(f"a{self.asked}"), command)
        commit = self.journal.decide(ask, Instant(self.now))
        for event in commit.events:
            self.say(f"  {event.fact}")
            match event.fact:
                case StormRaised():
                    self.storms += 1
                case HostLost(host=host):
                    self.lost[host] = self.now
                case HostReturned(host=host):
                    del self.lost[host]
                case _:
                    pass
            for engine in self.engines:
                if not engine.over:
                    evolve(engine.region.fleet, event.fact, Instant(self.now))

    def put(self, engine: Engine, command: Command, then: Callable[[], None]) -> None:
        """Let an engine write, which ends it if another one leads."""
        if not self.meet(self.bus, engine.name, "journal"):
            self.at(self.now + 1_000, lambda: self.put(engine, command, then))
            return
        if engine.epoch != self.epoch and not engine.over:
            self.say(f"{engine.name} is fenced")
            engine.over = True
        if not engine.over:
            self.write(command)
            then()

    def take_over(self, name: str) -> None:
        """Let another engine lead; the one before does not know it yet."""
        if not self.meet(self.bus, name, "journal"):
            return
        self.epoch += 1
        region = Region()
        for old in self.journal.fleet.hosts.values():
            region.fleet.hosts[old.id] = old
        region.fleet.vigil.update(self.journal.fleet.vigil)
        for older in self.engines:
            # What is written from now on an older engine does not read.
            older.region = frozen(older.region)
        self.say(f"{name} leads under {self.epoch}")
        engine = Engine(self, name, self.epoch, region)
        self.engines = [one for one in self.engines if not one.over and one.name != name]
        self.engines.append(engine)
        self._look(engine)

    def _look(self, engine: Engine) -> None:
        if engine.over or engine not in self.engines:
            return
        self.at(max(self.now + LOOK_MS, engine.awake_at), lambda: self._look(engine))
        if engine.awake_at > self.now:
            return
        fleet, now = engine.region.fleet, engine.clock.read(self.now)
        concern = engine.watch.concern(fleet, now)
        if concern is not None:
            self.put(engine, concern, engine.watch.decided)
        elif engine.watch.unproven(fleet, now):
            self.put(engine, ReturnHost(host="nobody"), lambda: engine.watch.proven(now))

    # Messages

    def meet(self, network: dict[str, str], one: str, other: str) -> bool:
        if not network:  # nobody is cut off
            return True
        here, there = network.get(one, ""), network.get(other, "")
        return here == there and here != NOWHERE

    def send(
        self, network: dict[str, str], ends: tuple[str, str], what: Callable[[], None]
    ) -> None:
        """Carry a message, or lose it; some are very late."""
        if not self.meet(network, *ends):
            return
        self.carried += 1
        lot = self._post.random
        delay = 1 + int(lot() * (LATE_MS if lot() < self.late else 30))
        self.at(self.now + delay, what)

    def wake(self, one: Machine | Engine, what: Callable[[], None]) -> None:
        """Do it now, or when whoever is paused goes on; the dead do nothing."""
        if one.awake_at > self.now:
            self.at(one.awake_at, lambda: self.wake(one, what))
        elif not (isinstance(one, Machine) and one.dead):
            what()

    def _turn(self, machine: Machine) -> None:
        """An agent's turn: beat, ask the jurors where it must, and arm the switch."""
        pause = machine.lease.pause_ms if not machine.dead else 1_000
        self.at(self.now + pause, lambda: self._turn(machine))
        self.wake(machine, lambda: self._act(machine))

    def _act(self, machine: Machine) -> None:
        local = machine.clock.read(self.now)
        if self.engines:
            beat = machine.lease.beat(machine.term, local)
            for engine in self.engines:
                hear = partial(self.wake, engine, partial(self._hear, engine, beat))
                self.send(self.bus, (machine.name, engine.name), hear)
        if machine.lease.quiet(local):
            self._ask_jurors(machine, local)
        machine.arm(self.now)

    def _hear(self, engine: Engine, beat: Beat) -> None:
        if engine.over:
            return
        grant = engine.watch.hear(engine.region.fleet, beat, engine.clock.read(self.now))
        machine = self.machines[beat.host]
        self.send(
            self.bus,
            (engine.name, machine.name),
            lambda: self.wake(machine, lambda: self._granted(machine, engine, grant)),
        )

    def _granted(self, machine: Machine, engine: Engine, grant: Grant) -> None:
        machine.lease.hear(grant, machine.term, machine.clock.read(self.now))
        if not machine.lease.lost:
            machine.arm(self.now)
            return
        machine.lease.end()
        machine.switch = 0
        self.send(
            self.bus,
            (machine.name, engine.name),
            lambda: self.put(
                engine, ReturnHost(host=machine.name), lambda: self._welcome(machine, engine)
            ),
        )

    def _welcome(self, machine: Machine, engine: Engine) -> None:
        term = engine.region.fleet.hosts[machine.name].term
        self.send(
            self.bus,
            (engine.name, machine.name),
            lambda: self.wake(machine, lambda: setattr(machine, "term", max(machine.term, term))),
        )

    def _ask_jurors(self, machine: Machine, asked_at: int) -> None:
        said: dict[HostId, Standing] = {}
        for name in machine.lease.seats.all:
            other = self.machines[name]
            if other is not machine:
                answer = partial(self.wake, other, partial(self._stand, other, machine, said))
                self.send(self.wire, (machine.name, name), answer)
        self.at(
            self.now + ASK_MS,
            lambda: self.wake(machine, lambda: self._judge(machine, asked_at, said)),
        )

    def _stand(self, one: Machine, asked_by: Machine, said: dict[HostId, Standing]) -> None:
        """Say how one stands to the one that asked; the first answer counts."""
        standing = one.lease.standing(one.clock.read(self.now))

        def arrive() -> None:
            said.setdefault(one.name, standing)

        self.send(self.wire, (one.name, asked_by.name), arrive)

    def _judge(self, machine: Machine, asked_at: int, said: dict[HostId, Standing]) -> None:
        if machine.lease.judge(asked_at, dict(said), machine.clock.read(self.now)):
            machine.arm(self.now)


def frozen(region: Region) -> Region:
    """Return a copy that is not told of anything any more."""
    copy = Region()
    copy.fleet.hosts.update(region.fleet.hosts)
    copy.fleet.vigil.update(region.fleet.vigil)
    return copy
