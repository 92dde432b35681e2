"""Test images, made of this machine's own busybox: nothing is downloaded."""

import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
APPLETS = (
    *("sh", "cat", "echo", "grep", "id", "ls", "sleep", "usleep", "touch", "mkdir", "rm", "mknod"),
    *("mount", "umount", "chroot", "hostname", "httpd", "nc", "dd", "kill", "ps", "wc", "test"),
    *(
        "stat",
        "mv",
        "true",
        "false",
        "date",
        "chmod",
        "chown",
        "ping",
        "ln",
        "head",
        "printf",
        "unshare",
        "env",
        "cp",
    ),
)


def archive(path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """Write the archive of a root folder: busybox, these files (all executable), these links."""
    with tarfile.open(path, "w") as tar:
        for folder in ("bin", "etc"):
            _add(tar, folder, kind=tarfile.DIRTYPE)
        tar.add(BUSYBOX, "bin/busybox")
        for name in APPLETS:
            _add(tar, f"bin/{name}", kind=tarfile.SYMTYPE, target="busybox")
        for name, target in (links or {}).items():
            _add(tar, name, kind=tarfile.SYMTYPE, target=target)
        for name, data in files.items():
            _add(tar, name, data)
    return path


def _add(
    tar: tarfile.TarFile,
    name: str,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    target: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.size = kind, target, 0o755, len(data)
    tar.addfile(entry, io.BytesIO(data))


def lacking(*more: str) -> list[str]:
    """Return what this machine lacks to run these tests, in words; nothing where it can.

    `more`: programs that not every test needs.
    """
    programs = ("runc", "mke2fs", "ip", "nft", "git", "openssl")
    missing = [
        name
        for name in (*programs, *more)
        if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None
    ]
    return [*missing, *([] if BUSYBOX.is_file() else ["busybox-static"])]
