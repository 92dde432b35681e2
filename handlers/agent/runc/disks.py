"""The disk of a container: an ext4 image of the size that was asked for, and an overlay on it.

An image and not a folder: its size is a limit that nobody can pass, and moved by blocks its inodes
stay what they were; SQLite, for one, never writes again to a file whose inode has changed. What is
in it: `upper` and `work` of the overlay, `volumes/`, `application/`, and three files of `/etc`.
"""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from handlers.agent.runc.places import Home, Places
from handlers.agent.runc.tools import run_now
from handlers.agent.runtime import RuntimeFailedError

GIB = 1 << 30
MOUNTS = Path("/proc/self/mountinfo")
ON_DISK = "nosuid,nodev"
OPTIONS = "nosuid,nodev,xino=on"
"""`xino`: files of all layers keep the number of their inode, which inotify and CRIU go by."""


def make(home: Home, size_gib: int) -> None:
    """Have an empty disk of this size. It takes no more room than what is written to it."""
    fresh = home.image.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with fresh.open("wb") as file:
        file.truncate(size_gib * GIB)
    lazily = "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"
    run_now("mke2fs", "-q", "-t", "ext4", "-m", "0", "-E", lazily, str(fresh))
    fresh.chmod(0o600)
    fresh.replace(home.image)


def mount(home: Home, layers: Sequence[Path], owner: int, *, fresh: bool = False) -> None:
    """Have disk and root mounted; `owner` is the user that the container's root is outside.

    `fresh`: the overlay begins empty.
    """
    home.make()
    mounted = mounts(home.run)
    if home.disk not in mounted:
        run_now("mount", "-o", f"loop,{ON_DISK}", str(home.image), str(home.disk))
    for folder in ("upper", "work") if fresh else ():
        shutil.rmtree(home.disk / folder)
    for folder in ("upper", "work", "volumes", "application", "etc"):
        path = home.disk / folder
        path.mkdir(exist_ok=True)
        os.chown(path, owner, owner)
    home.disk.chmod(0o711)
    if home.root not in mounted:
        lower = ":".join(str(layer) for layer in reversed(layers))
        upper, work = home.disk / "upper", home.disk / "work"
        options = f"{OPTIONS},lowerdir={lower},upperdir={upper},workdir={work}"
        run_now("mount", "-t", "overlay", "-o", options, "overlay", str(home.root))


def unmount(home: Home) -> None:
    """Have nothing mounted of this container."""
    free(home.run)


def free(under: Path) -> None:
    """Have nothing mounted at or under a folder; the innermost goes first."""
    for path in sorted(mounts(under), key=lambda path: len(path.parts), reverse=True):
        run_now("umount", str(path))


def mounts(under: Path) -> tuple[Path, ...]:
    """Return what is mounted at or under a folder."""
    lines = (line.split() for line in MOUNTS.read_text().splitlines())
    paths = (Path(words[4].encode().decode("unicode_escape")) for words in lines)
    return tuple(path for path in paths if path == under or under in path.parents)


def used_mib(home: Home) -> int:
    """Return how much of its disk a container has filled; 0 where that is not mounted."""
    try:
        seen = os.statvfs(home.disk)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTCONN}:
            return 0
        raise
    return (seen.f_blocks - seen.f_bfree) * seen.f_frsize >> 20


def room_gib(places: Places) -> int:
    """Return how much is free where disks are kept."""
    seen = os.statvfs(places.data)
    return seen.f_bavail * seen.f_frsize // GIB


def fits(places: Places, size_gib: int) -> None:
    """Refuse a disk that is larger than all that is free here. Raises `RuntimeFailedError`."""
    free = room_gib(places)
    if size_gib > free:
        message = f"a disk of {size_gib} GiB does not fit: {free} GiB are free in {places.data}"
        raise RuntimeFailedError(message)
