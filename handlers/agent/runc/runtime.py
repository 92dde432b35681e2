"""Containers as processes of this machine, run by runc; see `Runtime`.

What is to be is in a file for each container, what is so is told by the shim beside it: an agent
that comes back knows both, and containers have not noticed that it was gone.
"""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from domain.agent import Sample
from domain.messages import ContainerId, HostId
from domain.software import Application, Software
from handlers.agent.fetch import Fetch
from handlers.agent.process import Kind
from handlers.agent.runc import disks, greeting, shims, sweeping
from handlers.agent.runc.boot import switch_of
from handlers.agent.runc.building import Builder
from handlers.agent.runc.cgroups import Cgroups, cgroups_here, core_mhz
from handlers.agent.runc.fetching import Applications
from handlers.agent.runc.hardening import Profile
from handlers.agent.runc.images import Images
from handlers.agent.runc.lives import Life, Lives
from handlers.agent.runc.moving import Mover, Reach
from handlers.agent.runc.places import RUN_DEFAULT, Home, Places
from handlers.agent.runc.tools import run
from handlers.agent.runc.usage import Meter
from handlers.agent.runc.wires import Wires
from handlers.agent.runtime import Image, Room, Runtime, RuntimeFailedError, Seen, Spec, State


class RuncRuntime:
    """The containers of one host. `images` may be shared by hosts of one machine."""

    def __init__(  # noqa: PLR0913 - the settings of a host
        self,
        data: Path,
        host: HostId,
        images: Images,
        *,
        usual: Profile = Profile.MOVABLE,
        run: Path = RUN_DEFAULT,
        reach: Reach | None = None,
    ) -> None:
        reach = reach or Reach()
        self._host = host
        self.underlay = reach.underlay
        self._usual = usual
        self.ability = reach.ability
        self._places = Places.of(data, host, run)
        self._cgroups: Cgroups = cgroups_here()
        mhz = core_mhz()
        self.applications = Applications(self._places.data.parent / "applications")
        applications, cgroups = self.applications, self._cgroups
        wires = Wires(self._places, reach.bridge, reach.underlay)
        self._builder = Builder(self._places, images, applications, cgroups, mhz, wires=wires)
        self._meter = Meter(self._cgroups, mhz)
        self._switch = switch_of(self._places)
        self._starting: dict[ContainerId, subprocess.Popen[bytes]] = {}
        self._busy: set[ContainerId] = set()
        self._lives = Lives(self._places)
        self._mover = Mover(self._places, self._lives, self._builder, reach)
        for home in self._places.homes():
            if self._lives.find(home.container) is None:
                sweeping.remove(home, self._places, self._cgroups)

    def containers(self) -> tuple[Seen, ...]:
        return tuple(self._seen(life) for life in self._lives.all() if self._is_here(life))

    def look(self, container: ContainerId) -> Seen | None:
        life = self._lives.find(container)
        return None if life is None or not self._is_here(life) else self._seen(life)

    def usage(self) -> tuple[Sample, ...]:
        running = [life for life in self._lives.all() if self._seen(life).running]
        self._meter.keep(frozenset(life.spec.container for life in running))
        return tuple(self._sample(life) for life in running)

    @property
    def armed_s(self) -> float:
        return self._switch.until_s

    def arm(self, until_s: float) -> None:
        if time.monotonic() >= self._switch.until_s:
            self.fence()
        self._switch.arm(until_s)

    def fence(self) -> None:
        self._switch.arm(min(time.monotonic(), self._switch.until_s))
        fenced = [life for life in self._lives.all() if not life.spec.keep]
        for life in fenced:
            shims.signal_to(self._home(life), signal.SIGUSR1)
        for life in fenced:
            shims.await_end(self._home(life))

    def kept(self) -> tuple[ContainerId, ...]:
        return tuple(
            life.spec.container
            for life in self._lives.all()
            if life.spec.keep and self._seen(life).running
        )

    def revive(self) -> None:
        """Start what is to run and has no shim: the switch, or the machine, has stopped it."""
        going = {name: one for name, one in self._starting.items() if one.poll() is None}
        self._starting = going
        for life in self._lives.all():
            name, home = life.spec.container, self._home(life)
            if life.wanted and name not in {*going, *self._busy} and not shims.there(home):
                life = replace(life, restarts=shims.told(home).restarts + 1)  # noqa: PLW2901
                self._builder.build(self._lives.put(life))
                going[name] = shims.start_now(home)

    def forgive(self) -> None:
        for life in self._lives.all():
            if not shims.there(self._home(life)):
                self._lives.want(life, wanted=False)

    async def start(self, spec: Spec, mark: str) -> None:
        name = spec.container
        old = self._lives.find(name)
        if old is not None and self._there(name, "running", "stopped").running:
            self._is_of(old, spec)
            return
        own = frozenset[int]() if old is None else {old.users}
        life = self._builder.plan(spec, mark, self._usual, self._lives.users - own)
        async with self._alone(name):
            if old is not None:
                life = replace(life, users=old.users, profile=old.profile, restarts=old.restarts)
            await self._begin(life, old)

    async def _begin(self, life: Life, old: Life | None) -> None:
        """Start what is new or stopped; what is new and does not start leaves nothing."""
        home = self._home(life)
        await shims.end(home)
        home.make()
        try:
            if old is not None and old.digest != life.digest:
                await asyncio.to_thread(self._builder.renew, life)
            await self._run(life)
        except RuntimeFailedError:
            if old is None:
                await self._remove(home)
            else:
                self._lives.want(life, wanted=False)
            raise

    async def _run(self, life: Life) -> None:
        """Write down that it is to run, and have it run."""
        self._lives.put(replace(life, wanted=True))
        await asyncio.to_thread(self._builder.build, life)
        await shims.start(self._home(life))

    def _is_of(self, life: Life, spec: Spec) -> None:
        """Refuse to take for started what runs from something else."""
        runs, asked = (Software(one.image, one.application) for one in (life.spec, spec))
        if runs != asked:
            message = f"{spec.container} runs on {self._host} already, from other software"
            raise RuntimeFailedError(message)

    async def stop(self, container: ContainerId) -> None:
        life = self._lives.find(container)
        if life is not None:
            async with self._alone(container):
                self._lives.want(life, wanted=False)
                await shims.end(self._home(life))
                await self._remove(self._home(life))

    async def halt(self, container: ContainerId) -> None:
        life = self._lives.find(container)
        if life is not None:
            self._there(container, "running", "stopped")
            async with self._alone(container):
                self._lives.want(life, wanted=False)
                await shims.end(self._home(life))

    async def restart(self, container: ContainerId, mark: str) -> None:
        seen = self._there(container, "running", "stopped")
        life = self._life(container)
        if life.mark == mark and seen.running:
            return
        async with self._alone(container):
            told = shims.told(self._home(life))
            await shims.end(self._home(life))
            await self._run(replace(life, mark=mark, restarts=told.restarts + 1))

    async def redeploy(
        self, container: ContainerId, image: str, application: Application | None, mark: str
    ) -> None:
        seen = self._there(container, "running", "stopped")
        old = self._life(container)
        if old.mark == mark and seen.running:
            return
        spec = replace(old.spec, image=image, application=application)
        plan = self._builder.plan(spec, mark, old.profile, self._lives.users - {old.users})
        life = replace(plan, users=old.users, profile=old.profile, restarts=old.restarts)
        async with self._alone(container):
            await shims.end(self._home(life))
            try:
                await self._exchange(life)
            except RuntimeFailedError:
                await shims.end(self._home(life))
                await self._exchange(old)
                raise

    async def _exchange(self, life: Life) -> None:
        """Run another software on the same disk."""
        await asyncio.to_thread(self._builder.renew, life)
        await self._run(life)

    async def resize(self, container: ContainerId, cloudlets: int, limit: int) -> None:
        seen = self._there(container)
        life = self._life(container)
        if (life.spec.cloudlets, life.spec.limit) == (cloudlets, limit):
            return
        spec = replace(life.spec, cloudlets=cloudlets, limit=limit)
        if seen.state != "stopped":
            resources = json.dumps(self._builder.limits(spec)).encode()
            root = str(self._places.state)
            await run("runc", "--root", root, "update", "-r", "-", container, given=resources)
            self._cgroups.hold(self._builder.cgroup(life), cloudlets)
        self._lives.put(replace(life, spec=spec))

    async def settle(self, container: ContainerId) -> None:
        if self._there(container, "running", "paused").state == "running":
            door = self._builder.wires.path(self.home(container))
            await greeting.settle(door, self.pid(container))

    async def pause(self, container: ContainerId) -> None:
        self._there(container, "running", "paused")
        life = self._life(container)
        await asyncio.to_thread(self._cgroups.freeze, self._builder.cgroup(life))
        self._builder.wires.mute(self._home(life), life.spec.network)

    async def resume(self, container: ContainerId) -> None:
        self._mover.forget(container)
        await self._mover.saved(container)
        # A CRIU that was killed has thawed it; its cable is still cut.
        if self._there(container).state in ("paused", "running"):
            life = self._life(container)
            spec = life.spec
            self._builder.wires.unmute(self._home(life), spec.address, spec.network)
            self._cgroups.thaw(self._builder.cgroup(life))
            if life.profile is Profile.MOVABLE:
                await greeting.reopen(self._builder.wires.path(self._home(life)))

    async def drop(self, container: ContainerId) -> None:
        life = self._lives.find(container)
        self._mover.forget(container)
        if life is not None:
            if self._is_here(life):
                self._there(container, "paused", "held")
            async with self._alone(container):
                self._lives.want(life, wanted=False)
                await shims.end(self._home(life), signal.SIGHUP)
                await self._remove(self._home(life))

    async def receive(self, room: Room, mark: str) -> str:
        seen = self.look(room.container)
        if seen is not None:
            message = f"{room.container} is on {self._host} already, {seen.state}, for {mark}"
            raise RuntimeFailedError(message)
        disks.fits(self._places, room.disk_gib)
        return await self._mover.receive(room.container)

    async def copy(self, container: ContainerId, endpoint: str) -> None:
        self._there(container, "running")
        await self._mover.copy(self._life(container), endpoint)

    async def dump(self, container: ContainerId) -> Image:
        self._there(container, "paused")
        return await self._mover.dump(self._life(container))

    async def transfer(self, image: Image, endpoint: str) -> None:  # noqa: ARG002 - is connected
        await self._mover.transfer(image)

    async def prepare(self, image: Image) -> None:
        if not image.sound:
            message = f"the image of {image.container} is not what was sent"
            raise RuntimeFailedError(message)
        if self.look(image.container) is not None:
            self._there(image.container, "held")
            return
        async with self._alone(image.container):
            await self._mover.prepare(image)

    async def go(self, container: ContainerId) -> None:
        if self._there(container, "held", "running").state == "held":
            await self._mover.go(self._life(container))

    async def reach(self, container: ContainerId) -> None:
        self._there(container, "running", "stopped")

    def networks(self) -> frozenset[int]:
        return frozenset(life.spec.network for life in self._lives.all() if life.spec.network)

    async def point(self, network: int, table: Mapping[str, str]) -> None:
        await asyncio.to_thread(self._builder.wires.point, network, table)

    def close(self) -> None:
        self._mover.close()
        self._switch.close()
        for process in self._starting.values():
            process.wait()

    @asynccontextmanager
    async def _alone(self, container: ContainerId) -> AsyncGenerator[None]:
        """Keep `revive` away from what is being worked on."""
        self._busy.add(container)
        try:
            yield
        finally:
            self._busy.discard(container)

    async def _remove(self, home: Home) -> None:
        await asyncio.to_thread(sweeping.remove, home, self._places, self._cgroups)
        self._lives.forget(home)

    def home(self, container: ContainerId) -> Home:
        """Return where the files of a container are."""
        return self._places.home(container)

    def limits(self, container: ContainerId) -> Mapping[str, int]:
        """Return what the kernel lets a container use: `memory` in bytes, `cpu` in µs a period."""
        return self._cgroups.limited(self.cgroup(container))

    def cgroup(self, container: ContainerId) -> str:
        """Return the cgroup of a container."""
        return self._builder.cgroup(self._life(container))

    def pid(self, container: ContainerId) -> int:
        """Return the process that is the first in a container, 0 where none runs."""
        return shims.told(self.home(container)).pid

    def _home(self, life: Life) -> Home:
        return self.home(life.spec.container)

    def _life(self, container: ContainerId) -> Life:
        life = self._lives.find(container)
        if life is None:
            message = f"{container} is not on {self._host}"
            raise RuntimeFailedError(message)
        return life

    def _is_here(self, life: Life) -> bool:
        """Tell a container from the files of a copy that nothing holds any more."""
        return not life.arriving or shims.there(self._home(life))

    def _seen(self, life: Life) -> Seen:
        told = shims.told(self._home(life))
        spec = life.spec
        state: State = "running"
        if not told.pid:
            state = "stopped"
        elif told.state == "held":
            state = "held"
        elif self._cgroups.frozen(self._builder.cgroup(life)):
            state = "paused"
        healthy = told.healthy and state == "running"
        return Seen(spec.container, state, healthy, spec.cloudlets, spec.limit, spec.disk_gib)

    def _sample(self, life: Life) -> Sample:
        home, told = self._home(life), shims.told(self._home(life))
        cgroup = self._builder.cgroup(life)
        sample = self._meter.sample(life.spec.container, cgroup, told.pid, disks.used_mib(home))
        return replace(sample, restarts=told.restarts)

    def _there(self, container: ContainerId, *states: State) -> Seen:
        """Return a container that is here in one of these states (or in any)."""
        seen = self._seen(self._life(container))
        if states and seen.state not in states:
            wanted = " or ".join(states)
            message = f"{container} on {self._host} is {seen.state}, not {wanted}"
            raise RuntimeFailedError(message)
        return seen


def real(
    images: Images, usual: Profile, *, run: Path = RUN_DEFAULT, reach: Reach | None = None
) -> Kind:
    """Return what makes the runtime of a real host, and what fetches applications for it."""

    def made(folder: Path, host: HostId) -> tuple[Runtime, Fetch]:
        runtime = RuncRuntime(folder, host, images, usual=usual, run=run, reach=reach)
        return runtime, runtime.applications

    return made
