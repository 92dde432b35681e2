"""What an agent needs of whatever runs its containers.

Every method may be asked twice: what is so already stays so. `mark` names the order that wants
something; a container remembers the last one, so that an order interrupted by a crash and begun
again has its effect once. A method may be cancelled; `resume` and `drop` put right what it left.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Literal, Protocol

import msgspec

from domain.ability import Live
from domain.agent import Sample
from domain.messages import ContainerId
from domain.software import Application

State = Literal["running", "stopped", "paused", "held"]


class RuntimeFailedError(RuntimeError):
    """It could not be done, and the container is as it was before; the message says why."""


class Spec(msgspec.Struct, frozen=True):
    """What a container is: its name, image, application, sizes and surroundings.

    `network` is the number of its environment's, 0 where it has none of its own.
    """

    container: ContainerId
    name: str
    image: str
    cloudlets: int
    limit: int
    disk_gib: int
    address: str
    variables: Mapping[str, str] = {}
    volumes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    keep: bool = False
    application: Application | None = None
    network: int = 0


class Seen(msgspec.Struct, frozen=True):
    """A container as it is at this moment. `cloudlets` and `limit` are what it really has."""

    container: ContainerId
    state: State
    healthy: bool
    cloudlets: int
    limit: int
    disk_gib: int

    @property
    def running(self) -> bool:
        return self.state == "running"


class Image(msgspec.Struct, frozen=True):
    """What a frozen container is restored from: a manifest, small enough for the bus.

    A runtime whose images are large sends them by `transfer` and names them here by their hashes.
    """

    container: ContainerId
    body: bytes
    digest: str

    @classmethod
    def of(cls, container: ContainerId, body: bytes) -> "Image":
        return cls(container, body, sha256(body).hexdigest())

    @property
    def sound(self) -> bool:
        return sha256(self.body).hexdigest() == self.digest


class Room(msgspec.Struct, frozen=True):
    """What a container that is to arrive will need."""

    container: ContainerId
    cloudlets: int
    limit: int
    disk_gib: int


class Ability(msgspec.Struct, frozen=True):
    """How a host was proven to move containers live, or why it cannot; how long the proof took."""

    live: Live
    why: str = ""
    took_ms: int = 0


class Runtime(Protocol):
    """Runs containers. All methods that change something raise `RuntimeFailedError`."""

    def containers(self) -> tuple[Seen, ...]:
        """Return every container there is, copies paused or held included."""
        ...

    def look(self, container: ContainerId) -> Seen | None:
        """Return one container, or None if it is not here."""
        ...

    def usage(self) -> tuple[Sample, ...]:
        """Return what each running container uses."""
        ...

    @property
    def ability(self) -> Ability | None:
        """How this host moves containers live, where that was proven."""
        ...

    @property
    def armed_s(self) -> float:
        """Until when what is not kept may run, on the machine's monotonic clock."""
        ...

    def arm(self, until_s: float) -> None:
        """Let what is not kept run until then and no longer, whatever becomes of this process."""
        ...

    def fence(self) -> None:
        """Let what is not kept run no more, from now on."""
        ...

    def kept(self) -> tuple[ContainerId, ...]:
        """Return what runs and is kept when its host is cut off."""
        ...

    def revive(self) -> None:
        """Start again what the switch has stopped: the host may run it after all."""
        ...

    def forgive(self) -> None:
        """Leave what the switch has stopped as it is: others say what is to run."""
        ...

    async def start(self, spec: Spec, mark: str) -> None:
        """Create the container and start it; on failure nothing new is left of it.

        One that is there and does not run is started as `spec` says; what it keeps is kept. One
        that runs from other software is refused.
        """
        ...

    async def redeploy(
        self, container: ContainerId, image: str, application: Application | None, mark: str
    ) -> None:
        """Put another container in its place, of this image and with this application.

        Volumes and all else are kept; on failure the old one is left or put back.
        """
        ...

    async def halt(self, container: ContainerId) -> None:
        """Stop its process, if it is here and runs; all that belongs to it stays."""
        ...

    async def stop(self, container: ContainerId) -> None:
        """Stop the container and remove it, if it is here."""
        ...

    async def restart(self, container: ContainerId, mark: str) -> None:
        """Stop its process and start another one; on failure the old one is left or put back."""
        ...

    async def resize(self, container: ContainerId, cloudlets: int, limit: int) -> None:
        """Give it another size without a restart, also while it is paused or held."""
        ...

    async def receive(self, room: Room, mark: str) -> str:
        """On the target: make room for a container and return where to send it."""
        ...

    async def copy(self, container: ContainerId, endpoint: str) -> None:
        """On the source, while it runs: send ahead what changes little."""
        ...

    async def settle(self, container: ContainerId) -> None:
        """On the source, before it is paused: take no new connections until `resume`.

        Return when all that came are accepted: those that are not cannot be moved.
        """
        ...

    async def pause(self, container: ContainerId) -> None:
        """Freeze it; it neither runs nor is heard until `resume`."""
        ...

    async def resume(self, container: ContainerId) -> None:
        """Let a paused one run on, as if nothing had been."""
        ...

    async def dump(self, container: ContainerId) -> Image:
        """Save a paused one, which stays paused."""
        ...

    async def transfer(self, image: Image, endpoint: str) -> None:
        """Send the rest of it: after this the target can restore it."""
        ...

    async def prepare(self, image: Image) -> None:
        """On the target: restore it and hold it. It does not run, whatever happens to us.

        What is held already stays held.
        """
        ...

    async def go(self, container: ContainerId) -> None:
        """On the target: let a held one run; return when it runs."""
        ...

    async def reach(self, container: ContainerId) -> None:
        """On the target: return when it can be reached under its address."""
        ...

    async def drop(self, container: ContainerId) -> None:
        """Destroy a copy that is paused or held, never one that runs."""
        ...

    @property
    def underlay(self) -> str:
        """Return the address of this host among the hosts; "" where it is on no network."""
        ...

    def networks(self) -> frozenset[int]:
        """Return the numbers of the networks that containers here are on."""
        ...

    async def point(self, network: int, table: Mapping[str, str]) -> None:
        """Have all of a network found where the table says, and what it does not say nowhere.

        By a container's address, that of its host; see `HostNetwork`.
        """
        ...

    def close(self) -> None:
        """Let go of files. Containers go on."""
        ...
