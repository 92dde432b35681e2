"""What befalls a town, and lives made of it: cut off, paused, killed, restarted, led anew."""

from functools import partial
from random import Random

import msgspec

from domain.messages import HostId
from restow.simulation.town import NOWHERE, Engine, Machine, Town

SETTLE_MINUTES = 8
"""How long nothing goes wrong at the end, so that all can come right."""


class Fault(msgspec.Struct, frozen=True):
    """Something goes wrong at `at` for `lasts` ms: see `Strikes`."""

    at: int
    kind: str
    victims: tuple[str, ...]
    lasts: int


class Strikes:
    """What is to befall a town, each fault when its time has come."""

    def __init__(self, town: Town, faults: tuple[Fault, ...]) -> None:
        self._town = town
        for fault in faults:
            town.at(fault.at, partial(self.strike, fault))

    def strike(self, fault: Fault) -> None:
        """Cut off from the bus, from each other or both; pause, kill, restart; lead anew."""
        self._town.say(f"FAULT {fault.kind} {fault.victims} {fault.lasts}")
        strikes = {
            "bus": lambda: self._island([self._town.bus], fault),
            "wire": lambda: self._island([self._town.wire], fault),
            "both": lambda: self._island([self._town.bus, self._town.wire], fault),
            "outage": lambda: self._outage(fault),
            "pause": lambda: self._pause(fault),
            "die": lambda: self._die(fault),
            "restart": lambda: self._restart(fault),
            "lead": lambda: self._town.take_over(fault.victims[0]),
        }
        strikes[fault.kind]()

    def _outage(self, fault: Fault) -> None:
        names = (*self._town.machines, *(e.name for e in self._town.engines), "journal", "e1", "e2")
        self._island([self._town.bus], msgspec.structs.replace(fault, victims=names), NOWHERE)

    def _restart(self, fault: Fault) -> None:
        for name in fault.victims:
            self._town.machines[HostId(name)].restart(self._town.now)

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

        self._town.at(self._town.now + fault.lasts, heal)

    def _pause(self, fault: Fault) -> None:
        everybody: list[Machine | Engine] = [*self._town.machines.values(), *self._town.engines]
        for one in everybody:
            if one.name in fault.victims:
                one.awake_at = max(one.awake_at, self._town.now + fault.lasts)

    def _die(self, fault: Fault) -> None:
        """Power off; what ran is gone, and its switch with it."""
        machines = [self._town.machines[HostId(name)] for name in fault.victims]
        for machine in machines:
            machine.dead, machine.switch = True, 0

        def back() -> None:
            for machine in machines:
                machine.dead = False
                machine.restart(self._town.now)

        self._town.at(self._town.now + fault.lasts, back)


KINDS = (
    "bus",
    "wire",
    "both",
    "outage",
    "pause",
    "die",
    "restart",
    "lead",
    "zombie",
    "leadaway",
)
LASTS_MS = (1_000, 8_000, 15_000, 21_000, 26_000, 40_000, 90_000, 200_000)


def live(seed: int, *, minutes: int = 10) -> Town:
    """Let a town live through a random list of faults. Raises `ViolationError`."""
    dice = Random(f"faults {seed}")
    town = Town(seed, dice.choice([1, 2, 3, 3, 4, 5, 5, 7]))
    kinds = dice.sample(KINDS, dice.randint(1, 5))
    faults: list[Fault] = []
    for _ in range(dice.randint(1, 8)):
        at = dice.randint(30_000, minutes * 60_000)
        faults += drawn(town, dice, dice.choice(kinds), at)
    Strikes(town, tuple(faults))
    town.late = dice.choice([0, 0, 0.02, 0.2])
    return town.run((minutes + SETTLE_MINUTES) * 60_000)


def drawn(town: Town, dice: Random, kind: str, at: int) -> list[Fault]:
    """Draw whom a fault of this kind befalls, and for how long; some are two."""
    lasts = dice.choice(LASTS_MS)
    some = tuple(dice.sample(list(town.machines), dice.randint(1, len(town.machines))))
    match kind:
        case "zombie":  # the engine is paused, another one leads, and it wakes again
            other = dice.choice(["e1", "e2"])
            return [
                Fault(at, "pause", ("e0", "e1"), lasts),
                Fault(at + 2_000, "lead", (other,), 0),
            ]
        case "leadaway":  # the engine is cut off with some hosts, another one leads
            how = dice.choice(["both", "bus"])
            away = Fault(at, how, ("e0", "e1", *some), lasts)
            return [away, Fault(at + dice.randint(0, 4_000), "lead", ("e2",), 0)]
        case "lead":
            return [Fault(at, "lead", (dice.choice(["e0", "e1", "e2"]),), 0)]
        case _:
            return [Fault(at, kind, some, lasts)]
