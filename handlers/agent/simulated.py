"""Containers that are small states with a counter, instead of processes.

A container counts while it runs, by time, so nothing needs to tick: moved without a restart, it
counts on; restarted, it begins at 0 again. Its truth is in a file of its own, as a kernel would
keep it: it goes on when the agent is killed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from domain.agent import Sample
from domain.messages import CPU_OF_A_CLOUDLET_MHZ, MEMORY_OF_A_CLOUDLET_MIB, ContainerId
from domain.software import Application, Software
from handlers.agent.behaviour import Behaviour, Dice
from handlers.agent.ledger import Open
from handlers.agent.load import load_of
from handlers.agent.records import Records
from handlers.agent.runtime import Image, Room, RuntimeFailedError, Seen, Spec, State
from handlers.agent.switch import Switch

COUNT_EVERY_MS = 10
USAGE_CHANGES_MS = 10_000
NEVER_MS = float("inf")
CONTENT = 0.75
"""The largest part of what it holds that a container uses of whose load nothing is said."""


class Life(msgspec.Struct, frozen=True):
    """One simulated container. It had lived `age_ms` at `since_s`, and lives on if it runs.

    It is healthy from `warm_ms` of its life on, and dies by itself at `dies_ms`. `fenced`: the
    switch of its host has stopped it.
    """

    spec: Spec
    state: State
    mark: str
    warm_ms: float
    dies_ms: float
    age_ms: float = 0.0
    since_s: float = 0.0
    restarts: int = 0
    fenced: bool = False


class Lived(msgspec.Struct, frozen=True, tag="lived"):
    """A container is as it is here."""

    life: Life


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """A container is no more."""

    container: ContainerId


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Lived | Ended)
_life_decoder = msgspec.msgpack.Decoder(Life)


class SimulatedRuntime:
    """Runs simulated containers on one host; see `Runtime`. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        path: Path,
        host: str,
        behaviour: Behaviour,
        *,
        opened: Open = Records.open,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dice = Dice(behaviour, host)
        self._host = host
        self._speed = behaviour.speed
        self._clock = clock
        self._switch = Switch(path.with_name("switch"))
        self._lives: dict[ContainerId, Life] = {}
        self._records, written = opened(path)
        for data in written:
            self._fold(_decoder.decode(data))
        self._records.compact(self._all())

    def containers(self) -> tuple[Seen, ...]:
        return tuple(self._seen(life) for life in self._lives.values())

    def look(self, container: ContainerId) -> Seen | None:
        life = self._lives.get(container)
        return None if life is None else self._seen(life)

    def count(self, container: ContainerId) -> int:
        """Return what a container has counted to."""
        return int(self._age_ms(self._lives[container]) / COUNT_EVERY_MS)

    def usage(self) -> tuple[Sample, ...]:
        return tuple(self._sample(life) for life in self._lives.values() if self._runs(life))

    @property
    def ability(self) -> None:
        """Nothing is to be proven where everything is simulated."""

    @property
    def armed_s(self) -> float:
        return self._switch.until_s

    def arm(self, until_s: float) -> None:
        if self._clock() >= self._switch.until_s:
            self.fence()
        self._switch.arm(until_s)

    def fence(self) -> None:
        self._switch.arm(min(self._clock(), self._switch.until_s))
        for life in tuple(self._lives.values()):
            if not life.spec.keep and life.state in {"running", "paused"}:
                age = self._age_ms(life)
                self._put(replace(life, state="stopped", age_ms=age, fenced=True))

    def kept(self) -> tuple[ContainerId, ...]:
        return tuple(
            name for name, life in self._lives.items() if life.spec.keep and self._runs(life)
        )

    def revive(self) -> None:
        for life in tuple(self._lives.values()):
            if life.fenced:
                self._put(replace(self._born(life.spec, life.mark), restarts=life.restarts + 1))

    def forgive(self) -> None:
        for life in tuple(self._lives.values()):
            if life.fenced:
                self._put(replace(life, fenced=False))

    async def start(self, spec: Spec, mark: str) -> None:
        if self.look(spec.container) is not None:
            self._there(spec.container, "running", "stopped")
        life = self._lives.get(spec.container)
        if life is not None and self._runs(life):
            self._is_of(life, spec)
            return
        load_of(spec.variables)
        await self._work("start", mark)
        self._put(self._born(spec, mark))

    def _is_of(self, life: Life, spec: Spec) -> None:
        """Refuse to take for started what runs from something else."""
        runs, asked = (Software(one.image, one.application) for one in (life.spec, spec))
        if runs != asked:
            message = f"{spec.container} runs on {self._host} already, from other software"
            raise RuntimeFailedError(message)

    async def stop(self, container: ContainerId) -> None:
        if container in self._lives:
            await self._work("stop", container)
            self._forget(container)

    async def restart(self, container: ContainerId, mark: str) -> None:
        life = self._there(container, "running", "stopped")
        if life.mark == mark:
            return
        await self._work("restart", mark)
        spec = self._there(container, "running", "stopped").spec
        self._put(replace(self._born(spec, mark), restarts=life.restarts + 1))

    async def redeploy(
        self, container: ContainerId, image: str, application: Application | None, mark: str
    ) -> None:
        if self._there(container, "running", "stopped").mark == mark:
            return
        await self._work("redeploy", mark)
        life = self._there(container, "running", "stopped")
        spec = replace(life.spec, image=image, application=application)
        self._put(replace(self._born(spec, mark), restarts=life.restarts))

    async def halt(self, container: ContainerId) -> None:
        life = self._lives.get(container)
        if life is None or self._there(container, "running", "stopped").state == "stopped":
            return
        await self._work("halt", f"{container}/{life.mark}")
        life = self._there(container, "running", "stopped")
        self._put(replace(life, state="stopped", age_ms=self._age_ms(life)))

    async def resize(self, container: ContainerId, cloudlets: int, limit: int) -> None:
        life = self._there(container)
        if (life.spec.cloudlets, life.spec.limit) == (cloudlets, limit):
            return
        await self._work("resize", f"{container}/{cloudlets}/{limit}")
        life = self._there(container)
        self._put(replace(life, spec=replace(life.spec, cloudlets=cloudlets, limit=limit)))

    async def receive(self, room: Room, mark: str) -> str:
        life = self._lives.get(room.container)
        if life is not None and self._runs(life):
            message = f"{room.container} runs on {self._host} already"
            raise RuntimeFailedError(message)
        await self._work("receive", mark)
        return f"simulated://{self._host}"

    async def copy(self, container: ContainerId, endpoint: str) -> None:
        spec = self._there(container, "running").spec
        await self._work("copy", f"{container}/{endpoint}", times=spec.cloudlets)
        self._there(container, "running")

    async def settle(self, container: ContainerId) -> None:
        self._there(container, "running", "paused")

    async def pause(self, container: ContainerId) -> None:
        if self._there(container, "running", "paused").state == "paused":
            return
        await self._work("pause", container)
        life = self._there(container, "running")
        self._put(replace(life, state="paused", age_ms=self._age_ms(life)))

    async def resume(self, container: ContainerId) -> None:
        life = self._there(container)
        if life.state == "paused":
            self._put(replace(life, state="running", since_s=self._clock()))

    async def dump(self, container: ContainerId) -> Image:
        self._there(container, "paused")
        await self._work("dump", container)
        return Image.of(container, _encoder.encode(self._there(container, "paused")))

    async def transfer(self, image: Image, endpoint: str) -> None:
        await self._work("transfer", f"{image.container}/{endpoint}")

    async def prepare(self, image: Image) -> None:
        if not image.sound:
            message = f"the image of {image.container} is not what was sent"
            raise RuntimeFailedError(message)
        life = self._lives.get(image.container)
        if life is not None:
            self._there(image.container, "held")
            return
        await self._work("prepare", image.digest)
        self._put(replace(_life_decoder.decode(image.body), state="held"))

    async def go(self, container: ContainerId) -> None:
        if self._there(container, "held", "running").state == "running":
            return
        await self._sleep("go", container)
        self._put(replace(self._there(container, "held"), state="running", since_s=self._clock()))

    async def reach(self, container: ContainerId) -> None:
        self._there(container, "running", "stopped")
        await self._sleep("reach", container)

    async def drop(self, container: ContainerId) -> None:
        if container in self._lives:
            self._there(container, "paused", "held")
            await self._sleep("drop", container)
            self._there(container, "paused", "held")
            self._forget(container)

    @property
    def underlay(self) -> str:
        return ""

    def networks(self) -> frozenset[int]:
        return frozenset()

    async def point(self, network: int, table: Mapping[str, str]) -> None:
        """Do nothing: what is simulated says nothing to others."""

    def close(self) -> None:
        self._records.close()
        self._switch.close()

    def _born(self, spec: Spec, mark: str) -> Life:
        sick = self._dice.fails("healthy", mark)
        warm = NEVER_MS if sick else self._dice.lasts_ms("healthy", mark)
        mortal = self._dice.fails("crash", mark)
        dies = self._dice.lasts_ms("crash", mark) if mortal else NEVER_MS
        return Life(spec, "running", mark, warm, dies, 0.0, self._clock())

    def _age_ms(self, life: Life) -> float:
        if life.state != "running":
            return life.age_ms
        until_s = self._clock()
        if not life.spec.keep:
            until_s = min(until_s, self._switch.until_s)
        more = max(0.0, until_s - life.since_s) * 1_000 * self._speed
        return min(life.age_ms + more, life.dies_ms)

    def _runs(self, life: Life) -> bool:
        on = life.spec.keep or self._clock() < self._switch.until_s
        return on and life.state == "running" and self._age_ms(life) < life.dies_ms

    def _seen(self, life: Life) -> Seen:
        dead = life.state == "running" and not self._runs(life)
        healthy = self._runs(life) and self._age_ms(life) >= life.warm_ms
        spec = life.spec
        state: State = "stopped" if dead else life.state
        return Seen(spec.container, state, healthy, spec.cloudlets, spec.limit, spec.disk_gib)

    def _sample(self, life: Life) -> Sample:
        spec = life.spec
        age = self._age_ms(life)
        share = self._dice.share("usage", f"{spec.container}/{age // USAGE_CHANGES_MS}")
        load = load_of(spec.variables)
        used = (1 + share) / 2 * CONTENT * spec.cloudlets
        if load is not None:
            used = min(load.at(age, time.time() * 1_000), spec.limit)
        return Sample(
            spec.container,
            cpu_mhz=int(share * used * CPU_OF_A_CLOUDLET_MHZ),
            memory_mib=int(used * MEMORY_OF_A_CLOUDLET_MIB),
            disk_mib=int(spec.disk_gib * 256 * (1 + share)),
            net_kib_s=int(share * 1_000),
            count=int(age / COUNT_EVERY_MS),
            restarts=life.restarts,
            io_kib_s=int(share * 2_000),
            iops=int(share * 100),
        )

    def _there(self, container: ContainerId, *states: State) -> Life:
        """Return a container that is here in one of these states (or in any)."""
        life = self._lives.get(container)
        if life is None:
            message = f"{container} is not on {self._host}"
            raise RuntimeFailedError(message)
        state = self._seen(life).state
        if states and state not in states:
            message = f"{container} on {self._host} is {state}, not {' or '.join(states)}"
            raise RuntimeFailedError(message)
        return life

    async def _work(self, kind: str, what: str, *, times: int = 1) -> None:
        await self._sleep(kind, what, times=times)
        if self._dice.fails(kind, what):
            message = f"{kind} failed on {self._host}, as simulated"
            raise RuntimeFailedError(message)

    def _sleep(self, kind: str, what: str, *, times: int = 1) -> Awaitable[None]:
        return asyncio.sleep(times * self._dice.lasts_ms(kind, what) / 1_000 / self._speed)

    def _put(self, life: Life) -> None:
        self._note(Lived(life))

    def _forget(self, container: ContainerId) -> None:
        self._note(Ended(container))

    def _note(self, change: Lived | Ended) -> None:
        self._records.append(_encoder.encode(change))
        self._fold(change)
        self._records.tidy(self._all)

    def _all(self) -> Iterator[bytes]:
        """Return what a file holds in which nothing is of the past."""
        return (_encoder.encode(Lived(life)) for life in self._lives.values())

    def _fold(self, change: Lived | Ended) -> None:
        if isinstance(change, Lived):
            self._lives[change.life.spec.container] = change.life
        else:
            self._lives.pop(change.container, None)
