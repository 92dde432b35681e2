"""This machine as some hosts, for tests: images, folders and runtimes that are swept at the end."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from domain.messages import ContainerId, HostId
from domain.software import Application
from handlers.agent.runc import sweeping
from handlers.agent.runc.adding import add_archive
from handlers.agent.runc.fetching import Applications
from handlers.agent.runc.hardening import Profile
from handlers.agent.runc.images import Config, Images
from handlers.agent.runc.moving import LOOPBACK, Reach
from handlers.agent.runc.places import Home, Places
from handlers.agent.runc.runtime import RuncRuntime
from handlers.agent.runtime import Ability, Runtime, Seen
from tests.hosts.making import archive, lacking

LACKING = lacking()
REAL = [
    pytest.mark.hosts,
    pytest.mark.skipif(bool(LACKING), reason=f"make hosts: this machine lacks {LACKING}"),
]
"""Marks what needs real containers: root, runc and a few Debian packages (`make hosts`)."""
PATIENCE_S = 20.0
COUNT = """#!/bin/sh
# Counts into a file every 10 ms; healthy after a while.
trap 'echo stopping; exit 0' TERM
echo "began as $(id -u)"
(usleep 300000; touch /tmp/warm) &
i=0
while :; do i=$((i+1)); echo $i > /data/.count; mv /data/.count /data/count; usleep 10000; done
"""
COUNTER = Config(
    command=("/bin/count",),
    volumes=("/data",),
    labels={"restow.health": "command:/bin/test -f /tmp/warm"},
)


@dataclass
class Machine:
    """Some hosts in one folder. What is mounted is under `run`, which others may pass through."""

    data: Path
    run: Path
    images: Images
    usual: Profile = Profile.MOVABLE
    hosts: set[str] = field(default_factory=set)
    bridge: str = ""
    unable: str = ""
    underlays: dict[str, str] = field(default_factory=dict)

    @classmethod
    def made(cls, data: Path, usual: Profile = Profile.MOVABLE) -> "Machine":
        run = Path(tempfile.mkdtemp(prefix="restow-test-"))
        run.chmod(0o711)
        return cls(data, run, Images(run / "images"), usual)

    def add(
        self,
        name: str,
        config: Config,
        scripts: Mapping[str, str] | None = None,
        programs: Mapping[str, bytes] | None = None,
        *,
        links: Mapping[str, str] | None = None,
    ) -> str:
        """Have an image of busybox, the counter and these files."""
        texts = {"bin/count": COUNT, **(scripts or {})}
        files = {at: text.encode() for at, text in texts.items()} | {**(programs or {})}
        return self.add_packed(name, archive(self.data / "image.tar", files, links), config)

    def add_packed(self, name: str, packed: Path, config: Config) -> str:
        """Have an image of an archive."""
        named = replace(config, variables={**config.variables, "IMAGE": name})
        with ThreadPoolExecutor(1) as aside:  # a test may have a loop of its own running
            return aside.submit(asyncio.run, add_archive(self.images, name, packed, named)).result()

    def fetched(self, application: Application) -> None:
        """Have an application on every host, without fetching it."""
        for host in ("h01", "h02"):
            Applications(self.data / host / "applications").place(application).mkdir()

    def open(self, host: str) -> RuncRuntime:
        underlay = self.underlays.get(host, "")
        ability = Ability("none", self.unable) if self.unable else None
        runtime = RuncRuntime(
            self.data / host,
            HostId(host),
            self.images,
            usual=self.usual,
            run=self.run,
            reach=Reach(underlay or LOOPBACK, self.bridge, ability, underlay),
        )
        self.hosts.add(host)
        return runtime

    def places(self, host: str) -> Places:
        return Places.of(self.data / host, HostId(host), self.run)

    def home(self, host: str, container: ContainerId) -> Home:
        return self.places(host).home(container)

    def counted(self, host: str, container: ContainerId) -> int:
        """Return how far a container has counted, as its disk on that host has it."""
        return counted(self.home(host, container))

    def count(self, runtime: RuncRuntime, container: ContainerId) -> int:
        return counted(runtime.home(container))

    def sweep(self) -> None:
        """Leave nothing behind, and see that it is so."""
        for host in self.hosts:
            sweeping.sweep(self.places(host))
        shutil.rmtree(self.run)
        left = [
            line
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if str(self.run) in line
        ]
        assert left == []


def counted(home: Home) -> int:
    """Return how far it has counted; 0 where it has not, or its disk is being taken away."""
    try:
        return int((home.volume("/data") / "count").read_text())
    except OSError:
        return 0


def seen(runtime: Runtime, container: ContainerId) -> Seen:
    found = runtime.look(container)
    assert found is not None
    return found


async def until_healthy(runtime: Runtime, container: ContainerId) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not seen(runtime, container).healthy:
            await asyncio.sleep(0.02)
