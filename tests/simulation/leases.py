"""Hosts, engines and two networks, on clocks of their own: the real lease and the real watch.

The truth is when something may run on a host: while its switch is armed. The host arms it up to the
end of its lease, or as long as the jurors keep it; it goes off by itself, whatever becomes of
the agent. A host that the journal says is lost must not run anything until it has come back.
"""

import heapq
from collections.abc import Callable
from random import Random

import msgspec

from domain.chronicle import evolve
from domain.decider import Ask
from domain.host import RegisterHost
from domain.lease import Beat, Grant, Lease, Standing, Terms
from domain.loss import ReturnHost
from domain.messages import AskId, Command, HostId, Instant
from domain.region import Region
from domain.watch import Watch

TERMS = Terms()
DRIFT = 0.001
LOOK_MS = 500
ASK_MS = 1_000
LATE_MS = 40_000
NOWHERE = "nowhere"


class Fault(msgspec.Struct, frozen=True):
    """Something goes wrong at `at` for `lasts` ms: see `Town.strike`."""

    at: int
    kind: str
    victims: tuple[str, ...]
    lasts: int


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
        """Arm the switch, unless it has gone off already."""
        if self.switch and not self.runs(now) and self.lease.ends > self.clock.read(now):
            self.fenced += 1
        self.switch = max(self.switch, self.lease.ends)

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

    def __init__(self, seed: int, hosts: int, faults: tuple[Fault, ...] = ()) -> None:
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
        self._asked = 0
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
        for fault in faults:
            self.at(fault.at, lambda fault=fault: self.strike(fault))  # type: ignore[misc]
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
            self.check()
        self.now = until
        self.check()
        return self

    def check(self) -> None:
        """Nothing runs on a host that is lost."""
        for host in self.lost:
            assert not self.machines[host].runs(self.now), self.story(f"{host} is lost and runs")

    def story(self, wrong: str) -> str:
        return "\n".join([f"town {self.seed}", *self.trace[-120:], f"{self.now}: {wrong}"])

    def say(self, what: str) -> None:
        self.trace.append(f"{self.now:>8} {what}")

    # The journal, which takes what the newest engine writes and nothing else

    def write(self, command: Command) -> None:
        self._asked += 1
        ask = Ask(AskId(f"a{self._asked}"), command)
        commit = self.journal.decide(ask, Instant(self.now))
        for event in commit.events:
            fact: object = event.fact
            name = type(fact).__name__
            self.say(f"  {fact}")
            self.storms += name == "StormRaised"
            if name == "HostLost":
                self.lost[fact.host] = self.now  # type: ignore[attr-defined]
            if name == "HostReturned":
                del self.lost[fact.host]  # type: ignore[attr-defined]
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
                self.send(
                    self.bus,
                    (machine.name, engine.name),
                    lambda engine=engine: self.wake(engine, lambda: self._hear(engine, beat)),  # type: ignore[misc]
                )
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
        lease = machine.lease
        for name in lease.seats.all:
            other = self.machines[name]
            if other is machine:
                continue

            def answer(other: Machine = other) -> None:
                standing = other.lease.standing(other.clock.read(self.now))
                self.send(
                    self.wire,
                    (other.name, machine.name),
                    lambda: said.setdefault(other.name, standing),  # type: ignore[arg-type]
                )

            self.send(
                self.wire,
                (machine.name, name),
                lambda other=other, answer=answer: self.wake(other, answer),  # type: ignore[misc]
            )
        self.at(
            self.now + ASK_MS,
            lambda: self.wake(machine, lambda: self._judge(machine, asked_at, said)),
        )

    def _judge(self, machine: Machine, asked_at: int, said: dict[HostId, Standing]) -> None:
        if machine.lease.judge(asked_at, dict(said), machine.clock.read(self.now)):
            machine.arm(self.now)

    # What goes wrong

    def strike(self, fault: Fault) -> None:
        """Cut off from the bus, from each other or both; pause, kill, restart; lead anew."""
        self.say(f"FAULT {fault.kind} {fault.victims} {fault.lasts}")
        strikes = {
            "bus": lambda: self._island([self.bus], fault),
            "wire": lambda: self._island([self.wire], fault),
            "both": lambda: self._island([self.bus, self.wire], fault),
            "outage": lambda: self._outage(fault),
            "pause": lambda: self._pause(fault),
            "die": lambda: self._die(fault),
            "restart": lambda: self._restart(fault),
            "lead": lambda: self.take_over(fault.victims[0]),
        }
        strikes[fault.kind]()

    def _outage(self, fault: Fault) -> None:
        names = (*self.machines, *(e.name for e in self.engines), "journal", "e1", "e2")
        self._island([self.bus], msgspec.structs.replace(fault, victims=names), NOWHERE)

    def _restart(self, fault: Fault) -> None:
        for name in fault.victims:
            self.machines[HostId(name)].restart(self.now)

    def _island(self, nets: list[dict[str, str]], fault: Fault, where: str = "") -> None:
        """Put the victims on an island of their own, where they meet each other and nobody else."""
        island = where or f"island {fault.at}"
        for net in nets:
            net.update(dict.fromkeys(fault.victims, island))

        def heal() -> None:
            for net in nets:
                for name in fault.victims:
                    if net.get(name) == island:
                        del net[name]

        self.at(self.now + fault.lasts, heal)

    def _pause(self, fault: Fault) -> None:
        everybody: list[Machine | Engine] = [*self.machines.values(), *self.engines]
        for one in everybody:
            if one.name in fault.victims:
                one.awake_at = max(one.awake_at, self.now + fault.lasts)

    def _die(self, fault: Fault) -> None:
        """Power off; what ran is gone, and its switch with it."""
        machines = [self.machines[HostId(name)] for name in fault.victims]
        for machine in machines:
            machine.dead, machine.switch = True, 0

        def back() -> None:
            for machine in machines:
                machine.dead = False
                machine.restart(self.now)

        self.at(self.now + fault.lasts, back)


def frozen(region: Region) -> Region:
    """Return a copy that is not told of anything any more."""
    copy = Region()
    copy.fleet.hosts.update(region.fleet.hosts)
    copy.fleet.vigil.update(region.fleet.vigil)
    return copy


def live(seed: int, *, minutes: int = 10) -> Town:
    """Let a town live through a random list of faults."""
    dice = Random(f"faults {seed}")
    hosts = dice.choice([1, 2, 3, 3, 4, 5, 5, 7])
    names = [f"h{n}" for n in range(1, hosts + 1)]
    faults = []
    kinds = dice.sample(
        ["bus", "wire", "both", "outage", "pause", "die", "restart", "lead", "zombie", "leadaway"],
        dice.randint(1, 5),
    )
    for _ in range(dice.randint(1, 8)):
        kind = dice.choice(kinds)
        at = dice.randint(30_000, minutes * 60_000)
        lasts = dice.choice([1_000, 8_000, 15_000, 21_000, 26_000, 40_000, 90_000, 200_000])
        some = tuple(dice.sample(names, dice.randint(1, hosts)))
        leader = "e0"
        if kind == "zombie":  # the engine is paused, another one leads, and it wakes again
            faults.append(Fault(at, "pause", ("e0", "e1"), lasts))
            faults.append(Fault(at + 2_000, "lead", (dice.choice(["e1", "e2"]),), 0))
        elif kind == "leadaway":  # the engine is cut off with some hosts, another one leads
            both = dice.random() < 0.5
            faults.append(Fault(at, "both" if both else "bus", (leader, "e1", *some), lasts))
            faults.append(Fault(at + dice.randint(0, 4_000), "lead", ("e2",), 0))
        elif kind == "lead":
            faults.append(Fault(at, "lead", (dice.choice(["e0", "e1", "e2"]),), 0))
        else:
            faults.append(Fault(at, kind, some, lasts))
    town = Town(seed, hosts, tuple(faults))
    town.late = dice.choice([0, 0, 0.02, 0.2])
    return town.run((minutes + 8) * 60_000)
