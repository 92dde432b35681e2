"""Where a host keeps what belongs to its containers, and by which label it knows that as its own.

What must outlast the machine's next start (disks, what is to run, logs) is under `data`; what need
not (mounts, states of runc) is under `run`. Everything that the kernel holds for a host (mounts,
cgroups, network namespaces) has the host's label in its name, so that it can be found and removed
whatever became of the agent.
"""

import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from domain.messages import ContainerId, HostId
from handlers.agent.runtime import RuntimeFailedError

RUN_DEFAULT = Path("/run/restow")
LABEL_LENGTH = 8
ALL = "/restow"
"""The cgroup of all hosts of this machine."""
CLOSED = 0o700
PASSABLE = 0o711
"""A container's own users pass on their way to what is theirs, and see nothing else."""
EVERYBODYS, OPEN = "/tmp", 0o1777  # noqa: S108 - the container's
"""runc gives what it mounts the mode of the folder below, whatever it is told."""


@dataclass(frozen=True)
class Places:
    """The folders of one host's containers."""

    data: Path
    run: Path
    label: str

    @classmethod
    def of(cls, data: Path, host: HostId, run: Path = RUN_DEFAULT) -> "Places":
        """Return the places of a host whose agent keeps its files in `data`; made where missing."""
        whole = data.resolve()
        label = f"{host}-{sha256(str(whole).encode()).hexdigest()[:LABEL_LENGTH]}"
        places = cls(whole / "runc", run.resolve() / label, label)
        for folder in (places.data, places.run.parent, places.run, places.state):
            folder.mkdir(parents=True, exist_ok=True)
        places.data.chmod(CLOSED)
        places.run.chmod(PASSABLE)
        places.state.chmod(CLOSED)
        return places

    @property
    def state(self) -> Path:
        """Return where runc keeps what it knows: `runc --root`."""
        return self.run / "state"

    @property
    def cgroup(self) -> str:
        """Return the cgroup of all containers of the host."""
        return f"{ALL}/{self.label}"

    def home(self, container: ContainerId) -> "Home":
        return Home(self.data / container, self.run / container, container)

    def homes(self) -> tuple["Home", ...]:
        """Return the places of every container of which there is a trace."""
        folders = (self.data, self.run)
        names = {path.name for folder in folders for path in folder.iterdir() if path.is_dir()}
        return tuple(self.home(ContainerId(name)) for name in sorted(names - {self.state.name}))


@dataclass(frozen=True)
class Home:
    """The files of one container."""

    data: Path
    run: Path
    container: ContainerId

    @property
    def life(self) -> Path:
        """Return what is to run; written by the agent alone."""
        return self.data / "life.json"

    @property
    def image(self) -> Path:
        """Return the disk: an ext4 file system of the size that was asked for."""
        return self.data / "disk.img"

    @property
    def log(self) -> Path:
        return self.data / "log"

    @property
    def seen(self) -> Path:
        """Return what is so; written by the shim alone."""
        return self.run / "seen.json"

    @property
    def lock(self) -> Path:
        """Return the file that a shim holds locked as long as it is there."""
        return self.run / "shim.lock"

    @property
    def disk(self) -> Path:
        return self.run / "disk"

    @property
    def root(self) -> Path:
        """Return the container's root, as an overlay of its image on its disk."""
        return self.run / "rootfs"

    def volume(self, path: str) -> Path:
        """Return the folder on the disk that a volume is."""
        return self.disk / "volumes" / path.strip("/").replace("/", "%2F")

    @property
    def application(self) -> Path:
        return self.disk / "application"

    @property
    def etc(self) -> Path:
        return self.disk / "etc"

    def make(self) -> None:
        """Have the folders; what is in them stays."""
        self.data.mkdir(mode=CLOSED, exist_ok=True)
        for folder in (self.run, self.disk, self.root):
            if not folder.exists():  # what is mounted there has a mode of its own, to be kept
                folder.mkdir()
                folder.chmod(PASSABLE)


def point(root: Path, path: str, *, file: bool = False) -> None:
    """Have a folder (or an empty file) under `root` to mount on.

    No symbolic link is followed: an image could have one to anywhere. Raises `RuntimeFailedError`.
    """
    *folders, last = (part for part in path.split("/") if part)
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folders if file else (*folders, last):
            at = _entered(at, part, path)
        if file and not _there(at, last, path, wanted=stat.S_ISREG):
            os.close(os.open(last, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644, dir_fd=at))
    finally:
        os.close(at)


def _entered(at: int, part: str, path: str) -> int:
    if not _there(at, part, path, wanted=stat.S_ISDIR):
        os.mkdir(part, dir_fd=at)
        os.chmod(part, OPEN if path == EVERYBODYS else 0o755, dir_fd=at)
    inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
    os.close(at)
    return inner


def _there(at: int, part: str, path: str, *, wanted: object) -> bool:
    try:
        mode = os.stat(part, dir_fd=at, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    fits = stat.S_ISDIR(mode) if wanted is stat.S_ISDIR else stat.S_ISREG(mode)
    if not fits or part in {".", ".."}:
        message = f"the image has something else at {path} (at {part}): nothing is mounted over it"
        raise RuntimeFailedError(message)
    return True
