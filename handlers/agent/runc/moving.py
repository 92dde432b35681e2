"""Live moves with CRIU: dumped frozen on the source, restored and held on the target.

The source stays as it is, frozen by the agent's own freezer, until the target runs: to give up is
to thaw. The target is held in the last moment before its processes go on, by a script that CRIU
waits for; if anything dies, they never do.
"""

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from domain.messages import ContainerId
from handlers.agent.runc import preflight, shims
from handlers.agent.runc.blocks import Passes, flush, still
from handlers.agent.runc.building import Builder
from handlers.agent.runc.carrying import Receiver, Sender
from handlers.agent.runc.hardening import Profile
from handlers.agent.runc.held import first_error
from handlers.agent.runc.images import digest_of
from handlers.agent.runc.lives import Life, Lives
from handlers.agent.runc.places import Home, Places
from handlers.agent.runc.tools import is_open, program, run
from handlers.agent.runtime import Ability, Image, RuntimeFailedError

LOOPBACK = "127.0.0.1"
PASSES = 2
"""So often a disk is sent while its container runs; what is left is sent while it is frozen."""
RUNS_S = 10.0
SAVES_S = 60.0
LOOK_S = 0.01
DUMP_LOG = "dump.log"
SAVED = (*("--tcp-established", "--file-locks", "--ext-unix-sk", "--manage-cgroups-mode", "soft"),)
ARRIVING = "arriving.img"


class Reach(msgspec.Struct, frozen=True):
    """Where other hosts send what moves here, and how this host's containers reach others.

    `ability`: how containers can be moved live here, where that was proven; see `prove`. `bridge`
    and `underlay`: see `Wires`.
    """

    address: str = LOOPBACK
    bridge: str = ""
    ability: Ability | None = None
    underlay: str = ""

    @property
    def unable(self) -> str:
        """Why nothing can be moved live here; "" where it can, or may be tried."""
        return self.ability.why if self.ability and self.ability.live == "none" else ""


class Manifest(msgspec.Struct, frozen=True):
    """What was dumped: what it is, whether it was healthy, and each file by its SHA-256."""

    life: Life
    healthy: bool
    restarts: int
    files: Mapping[str, str]


class Outgoing(msgspec.Struct):
    """A container that is being sent."""

    passes: Passes
    sender: Sender


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Manifest)


class Mover:
    """The moves of one host."""

    def __init__(self, places: Places, lives: Lives, builder: Builder, reach: Reach) -> None:
        self._places = places
        self._lives = lives
        self._builder = builder
        self._reach = reach
        self._outgoing: dict[ContainerId, Outgoing] = {}
        self._incoming: dict[ContainerId, Receiver] = {}

    async def receive(self, container: ContainerId) -> str:
        """Make room, and return where to send it."""
        self._may_be_tried()
        home = self._places.home(container)
        self.forget(container)
        home.make()
        images_of(home).mkdir(mode=0o700, exist_ok=True)
        receiver = await Receiver.open(images_of(home), home.data / ARRIVING, self._reach.address)
        self._incoming[container] = receiver
        return receiver.address.text

    async def copy(self, life: Life, endpoint: str) -> None:
        """Send the disk ahead while it is written to."""
        self._may_be_tried()
        home = self._places.home(life.spec.container)
        if life.profile is not Profile.MOVABLE:
            message = (
                f"{home.container} is {life.profile} (RESTOW_PROFILE): it can be moved cold only"
            )
            raise RuntimeFailedError(message)
        freezer = Path(self._builder.charge(life).freezer)
        processes = freezer.with_name("cgroup.procs")
        await preflight.pass_or_say(home.container, processes, shims.told(home).pid)
        passes = Passes(home.image)
        sender = await Sender.open(endpoint, passes.size)
        self.forget(home.container)
        self._outgoing[home.container] = Outgoing(passes, sender)
        for _ in range(PASSES):
            await asyncio.to_thread(flush, home.disk)
            await sender.disk(passes.changed())

    def _may_be_tried(self) -> None:
        """Refuse before anything stands still. Raises `RuntimeFailedError`."""
        if self._reach.unable:
            message = f"this host moves nothing live: {self._reach.unable}"
            raise RuntimeFailedError(message)

    async def dump(self, life: Life) -> Image:
        """Save a frozen one. It is waited for whatever happens: interrupted, CRIU harms it."""
        home = self._places.home(life.spec.container)
        folder = images_of(home)
        for path in folder.iterdir() if folder.is_dir() else ():
            path.unlink()
        folder.mkdir(mode=0o700, exist_ok=True)
        told = shims.told(home)
        write_settings(home, hold=False)
        saving = asyncio.create_task(self._checkpoint(home, folder))
        try:
            await asyncio.shield(saving)
        except asyncio.CancelledError:
            await asyncio.wait({saving})
            raise
        files = {path.name: digest_of(path) for path in sorted(folder.iterdir())}
        manifest = Manifest(life, told.healthy, told.restarts, files)
        return Image.of(life.spec.container, _encoder.encode(manifest))

    async def _checkpoint(self, home: Home, folder: Path) -> None:
        with_criu = ("--root", str(self._places.state), "--criu", program("criu"))
        places = ("--image-path", str(folder), "--work-path", str(home.run))
        words = ("checkpoint", "--leave-running", *SAVED, *places, home.container)
        try:
            await run("runc", *with_criu, *words)
        except RuntimeFailedError as error:
            message = f"{home.container} cannot be saved: {first_error(home.run / DUMP_LOG)}"
            raise RuntimeFailedError(message) from error

    async def saved(self, container: ContainerId) -> None:
        """Return when nobody saves it any more.

        A CRIU whose agent or runc was killed goes on to its end, and then freezes what it found
        frozen: whoever was thawed before would stand still for ever.
        """
        async with asyncio.timeout(SAVES_S):
            # Another's process has no event to wait for.
            while await asyncio.to_thread(  # noqa: ASYNC110
                is_open, self._places.home(container).run / DUMP_LOG
            ):
                await asyncio.sleep(LOOK_S)

    async def transfer(self, image: Image) -> None:
        """Send the rest of it: the image of its memory, and what has changed on its disk."""
        home = self._places.home(image.container)
        out = self._outgoing.get(image.container)
        if out is None:
            message = f"{image.container} is not on its way anywhere"
            raise RuntimeFailedError(message)
        await out.sender.files(sorted(images_of(home).iterdir()))
        with still(home.disk):
            await out.sender.disk(out.passes.changed())
        await out.sender.done()

    async def prepare(self, image: Image) -> None:
        """Restore it and hold it. Raises `RuntimeFailedError`: then nothing of it runs."""
        manifest = _decoder.decode(image.body)
        home = self._places.home(image.container)
        self.forget(image.container)
        folder = images_of(home)
        for name, digest in manifest.files.items():
            path = folder / Path(name).name
            if not path.is_file() or await asyncio.to_thread(digest_of, path) != digest:
                message = f"the image of {image.container} is not what was sent: {name}"
                raise RuntimeFailedError(message)
        if (home.data / ARRIVING).is_file():
            (home.data / ARRIVING).replace(home.image)
        home.make()
        life = self._lives.put(replace(manifest.life, wanted=False, arriving=True))
        await asyncio.to_thread(self._builder.build, life)
        write_settings(home, hold=True)
        charge = dataclasses.replace(
            self._builder.charge(life),
            images=str(folder),
            criu=program("criu"),
            saved=SAVED,
            healthy=manifest.healthy,
            restarts=manifest.restarts,
        )
        charge.write(home.run / "charge.json")
        await shims.start(home)

    async def go(self, life: Life) -> None:
        """Let a held one run; return when it runs."""
        home = self._places.home(life.spec.container)
        self._lives.put(replace(life, wanted=True, arriving=False))
        with (home.run / "go").open("w") as gate:
            gate.write("go\n")
        await shims.until(home, "running", RUNS_S)
        self._builder.wires.release(home)
        for path in images_of(home).iterdir():
            path.unlink()

    def forget(self, container: ContainerId) -> None:
        """Let go of the connections of a container."""
        out, into = self._outgoing.pop(container, None), self._incoming.pop(container, None)
        if out is not None:
            out.sender.close()
        if into is not None:
            into.close()

    def close(self) -> None:
        for container in (*self._outgoing, *self._incoming):
            self.forget(container)


def images_of(home: Home) -> Path:
    """Return the folder of the image of a container's memory."""
    return home.run / "memory"


HOLD = """#!/bin/sh
# CRIU runs this, and waits for it: here a restored container is held until it may go.
[ "$CRTOOLS_SCRIPT_ACTION" = post-restore ] || exit 0
# Opened for both first: to open for reading alone would wait for a shim, which may be dead by now.
exec 3<>"{run}/go" 4<"{run}/go" 3>&-
echo "$CRTOOLS_INIT_PID" >"{run}/held.new" && mv "{run}/held.new" "{run}/held"
read -r answer <&4
[ "$answer" = go ]
"""
SETTINGS = "network-lock nftables\nskip-in-flight\nghost-limit 1G\n"


def write_settings(home: Home, *, hold: bool) -> None:
    """Write what runc has no words for: CRIU's own settings, and the script that holds."""
    script = home.run / "hold.sh"
    script.write_text(HOLD.format(run=home.run))
    script.chmod(0o700)
    action = f"action-script {script}\n" if hold else ""
    (home.run / "criu.conf").write_text(SETTINGS + action)
