"""How a container is shut in: its OCI configuration, made of what it is and of nothing it says.

Two profiles, since a user namespace and a live move exclude each other (CRIU cannot restore a
network namespace that is the agent's into a user namespace that is not):

- `movable`: no user namespace; root without a single capability. Can be moved live.
- `isolated`: a user namespace with users that no other container has. Can be moved cold.

All else is the same: no capabilities, no new privileges, a filter for calls of the kernel, a root
that is read-only, sized places to write to, own namespaces of every kind, limits of every kind.
"""

import resource
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from handlers.agent.runc import seccomp
from handlers.agent.runc.images import Config
from handlers.agent.runc.places import Home
from handlers.agent.runtime import RuntimeFailedError, Spec

VARIABLE = "RESTOW_PROFILE"
RANGE = 65_536
"""So many users each container in a user namespace has for itself."""
FILES_MAX = 65_536
TMP_MIB, RUN_MIB, SHM_MIB = 64, 16, 64
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
APPLICATION = "/app"
ETC_FILES = ("hosts", "hostname", "resolv.conf")
MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi"),
    *("/sys/firmware", "/sys/devices/virtual/powercap", "/sys/kernel"),
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
OWN_SYSTEM = frozenset({"/proc", "/sys", "/dev", "/etc", APPLICATION})
"""Where no volume may be."""


class Profile(StrEnum):
    """See above."""

    MOVABLE = "movable"
    ISOLATED = "isolated"


class Shut(msgspec.Struct, frozen=True):
    """What the configuration is made of, beside the container itself.

    `users`: the first user outside that is a user of this container. `network`: the network
    namespace to be in, or "" for a new one.
    """

    profile: Profile
    users: int
    cgroup: str
    resources: Mapping[str, Any]
    network: str = ""
    criu: str = ""


def profile_of(spec: Spec, usual: Profile) -> Profile:
    """Return the profile that a container's variables ask for. Raises `RuntimeFailedError`."""
    asked = spec.variables.get(VARIABLE, usual)
    if asked not in set(Profile):
        message = f"{VARIABLE} is {asked!r}; it must be {' or '.join(Profile)}"
        raise RuntimeFailedError(message)
    return Profile(asked)


def configuration(spec: Spec, config: Config, home: Home, shut: Shut) -> Mapping[str, Any]:
    """Return the OCI configuration of a container. Raises `RuntimeFailedError`."""
    return {
        "ociVersion": "1.0.2",
        "hostname": spec.name,
        "root": {"path": str(home.root), "readonly": True},
        "process": _process(spec, config),
        "mounts": [*_system(), *_own(spec, config, home)],
        "annotations": {"org.criu.config": shut.criu} if shut.criu else {},
        "linux": {
            "namespaces": _namespaces(shut),
            **(_mappings(shut) if shut.profile is Profile.ISOLATED else {}),
            "cgroupsPath": shut.cgroup,
            "resources": {**shut.resources, "devices": [{"allow": False, "access": "rwm"}]},
            "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0"},
            "seccomp": seccomp.profile(),
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READ_ONLY),
            "rootfsPropagation": "private",
        },
    }


def _process(spec: Spec, config: Config) -> Mapping[str, Any]:
    words = (*config.entrypoint, *config.command)
    if not words:
        message = f"image {spec.image} does not say what to run: neither entrypoint nor command"
        raise RuntimeFailedError(message)
    variables = {"PATH": PATH, **config.variables, **spec.variables}
    user, _, group = config.user.partition(":")
    if not (user.isdecimal() and (group or user).isdecimal()):
        message = f"image {spec.image} runs as {config.user!r}; only numbers are users here"
        raise RuntimeFailedError(message)
    none: Mapping[str, list[str]] = {
        kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")
    }
    return {
        "terminal": False,
        "user": {"uid": int(user), "gid": int(group or user), "umask": 0o022},
        "args": list(words),
        "env": [f"{key}={value}" for key, value in variables.items()],
        "cwd": config.folder,
        "capabilities": none,
        "noNewPrivileges": True,
        "rlimits": [
            {"type": "RLIMIT_NOFILE", "soft": files_max(), "hard": files_max()},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ],
        "oomScoreAdj": 500,
    }


def files_max() -> int:
    """Return how many files a container may have open; a machine may not let us raise it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)


def _namespaces(shut: Shut) -> list[Mapping[str, str]]:
    kinds = ["pid", "ipc", "uts", "mount", "cgroup"]
    if shut.profile is Profile.ISOLATED:
        kinds.append("user")
    network = {"path": shut.network} if shut.network else {}
    return [*({"type": kind} for kind in kinds), {"type": "network", **network}]


def _mappings(shut: Shut) -> Mapping[str, Any]:
    mapping = [{"containerID": 0, "hostID": shut.users, "size": RANGE}]
    return {"uidMappings": mapping, "gidMappings": mapping}


def _system() -> tuple[Mapping[str, Any], ...]:
    quiet = ["nosuid", "noexec", "nodev"]
    return (
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        _memory("/dev", 1, "nosuid", "noexec", "strictatime", "mode=755"),
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
        _memory("/dev/shm", SHM_MIB, *quiet, "mode=1777"),  # noqa: S108 - a mount of its own
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, "ro"]},
        _memory("/tmp", TMP_MIB, *quiet, "mode=1777"),  # noqa: S108 - a mount of its own
        _memory("/run", RUN_MIB, *quiet, "mode=755"),
    )


def _memory(at: str, mib: int, *options: str) -> Mapping[str, Any]:
    sized = [*options, f"size={mib}m"]
    return {"destination": at, "type": "tmpfs", "source": "tmpfs", "options": sized}


def _own(spec: Spec, config: Config, home: Home) -> list[Mapping[str, Any]]:
    """Return what comes from its disk: volumes, the application, and three files."""
    quiet = ("nosuid", "nodev")
    mounts = [
        _bound(home.volume(path), path, *quiet, "noexec", "rw") for path in volumes(spec, config)
    ]
    if spec.application is not None:
        mounts.append(_bound(home.application, APPLICATION, *quiet, "ro"))
    files = [_bound(home.etc / name, f"/etc/{name}", *quiet, "noexec", "ro") for name in ETC_FILES]
    return [*mounts, *files]


def _bound(source: Path, at: str, *options: str) -> Mapping[str, Any]:
    return {
        "destination": at,
        "type": "bind",
        "source": str(source),
        "options": ["bind", "private", *options],
    }


def volumes(spec: Spec, config: Config) -> tuple[str, ...]:
    """Return where volumes are: the layer's, and those that the image says it writes to."""
    paths = tuple(dict.fromkeys((*spec.volumes, *config.volumes)))
    for path in paths:
        first = "/" + path.strip("/").partition("/")[0]
        if not path.startswith("/") or first == "/" or ".." in path or first in OWN_SYSTEM:
            message = f"{path!r} can be no volume: it must be absolute, and not in {first}"
            raise RuntimeFailedError(message)
    return paths


def points(spec: Spec, config: Config) -> tuple[tuple[str, bool], ...]:
    """Return where something is mounted in its root, and whether a file is."""
    folders = ["/proc", "/dev", "/sys", "/tmp", "/run", *volumes(spec, config)]  # noqa: S108
    if spec.application is not None:
        folders.append(APPLICATION)
    return (
        *((path, False) for path in folders),
        *((f"/etc/{name}", True) for name in ETC_FILES),
    )


def users_for(number: int, taken: frozenset[int]) -> int:
    """Return the first of the users of a container: `RANGE` of them, that no other one has.

    Range 0 is the machine's own. The same container has the same users wherever it is, unless they
    are taken there.
    """
    ranges = (1 << 32) // RANGE - 2
    for step in range(ranges):
        first = (1 + (number + step) % ranges) * RANGE
        if first not in taken:
            return first
    message = f"all {ranges:,} ranges of users are taken on this host"
    raise RuntimeFailedError(message)
