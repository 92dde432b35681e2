"""Hosts that are network namespaces: the runtime of each lives in a thread that is in its own."""

import asyncio
import ctypes
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from domain.messages import ContainerId
from handlers.agent.runc import sweeping
from handlers.agent.runc.runtime import RuncRuntime
from handlers.agent.runc.tools import program
from handlers.network.tools import Tools
from tests.hosts.machine import Machine
from tests.network.fabric import Fabric, fabric_of

CLONE_NEWNET = 0x40000000
T = TypeVar("T")


class House:
    """A thread with a loop of its own; it and all that it starts are in a namespace."""

    def __init__(self, namespace: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, args=(namespace,))
        self._thread.start()

    def _live(self, namespace: str) -> None:
        libc, door = ctypes.CDLL(None, use_errno=True), os.open(f"/run/netns/{namespace}", 0)
        entered = libc.setns(door, CLONE_NEWNET)
        os.close(door)
        assert entered == 0, os.strerror(ctypes.get_errno())
        self._loop.run_forever()
        self._loop.close()

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def do(self, work: Callable[..., T], *words: Any) -> T:
        async def done() -> T:
            return work(*words)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class Housed:
    """A runtime in its house: what it does there is waited for here."""

    def __init__(self, house: House, runtime: RuncRuntime) -> None:
        self._house = house
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._runtime, name)
        if not inspect.iscoroutinefunction(part):
            return part
        return lambda *words: self._house.wait(part(*words))


class Land:
    """Some hosts, `h01` and so on, each in its house; see `Fabric`."""

    def __init__(self, fabric: Fabric, machine: Machine) -> None:
        self.fabric = fabric
        self.machine = machine
        self.names = [f"h{number:02}" for number in range(1, len(fabric.hosts) + 1)]
        machine.underlays = dict(zip(self.names, fabric.underlays, strict=True))
        self.houses = {name: House(fabric.host(i)) for i, name in enumerate(self.names)}
        self.runtimes: dict[str, Any] = {}
        for name in self.names:
            self.open(name)

    def open(self, name: str) -> Any:
        """Return a runtime of this host: of an agent that has just begun."""
        self.close(name)
        house = self.houses[name]
        self.runtimes[name] = Housed(house, house.do(self.machine.open, name))
        return self.runtimes[name]

    def close(self, name: str) -> None:
        """Have no agent there; its containers go on."""
        if name in self.runtimes:
            self.runtimes.pop(name).close()

    async def tell(self, network: int, where: dict[str, str]) -> None:
        """Tell all hosts which addresses are on which host."""
        table = {address: self.machine.underlays[host] for address, host in where.items()}
        for runtime in self.runtimes.values():
            await runtime.point(network, table)

    def space(self, host: str, container: ContainerId) -> str:
        """Return the namespace of a container."""
        return f"{self.machine.places(host).label}-{container}"

    def inside(self, host: str, container: ContainerId, said: Path, *words: str):
        """Run a program of ours in the namespace of a container; what it says goes into a file."""
        space = self.space(host, container)
        command = (program("ip"), "netns", "exec", space, sys.executable, "-S", "-c", *words)
        with said.open("wb") as out:
            return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def devices(self, host: str) -> set[str]:
        """Return the devices of a host, but for those that it has as a machine."""
        where = Tools(self.fabric.host(self.names.index(host)))
        lines = where.run(("ip", "-br", "link", "show")).splitlines()
        return {line.split("@")[0].split()[0] for line in lines} - {"lo", "eth0"}

    def sweep(self) -> None:
        """Leave nothing behind, and see that it is so."""
        for name in self.names:
            self.close(name)
            self.houses[name].do(sweeping.sweep, self.machine.places(name))
        left = [self.devices(name) for name in self.names]
        self.machine.hosts.clear()
        self.machine.sweep()
        assert not any(left), left


@contextmanager
def land_of(hosts: int, machine: Machine) -> Iterator[Land]:
    with fabric_of(hosts) as fabric:
        land = Land(fabric, machine)
        try:
            yield land
        finally:
            try:
                land.sweep()
            finally:
                for house in land.houses.values():
                    house.close()
