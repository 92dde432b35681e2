"""What a host needs to run containers and to join them to a network, looked for one by one."""

from collections.abc import Callable, Mapping

from handlers.machine.findings import Finding, Grade, Use
from handlers.machine.looking import Look
from handlers.machine.versions import Version, dotted, version_in

KERNEL_MIN: Version = (5, 10)
RUNC_MIN: Version = (1, 1, 5)
RUNC_SAFE: Version = (1, 2, 8)
"""From here on a malicious image cannot trick runc by symlinks while it mounts (C9)."""
NEWER_RUNC = (
    f"put the static binary of runc {dotted(RUNC_SAFE)} or newer at /opt/restow/runc,"
    " and set RESTOW_RUNC=/opt/restow/runc (neither Debian 12 nor 13 has it)"
)
CONTROLLERS = ("cpu", "memory", "pids")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
FILE_SYSTEMS = ("overlay", "ext4")
CAP_SYS_ADMIN = 21
CAP_NET_ADMIN = 12
NETWORK_TRIALS: Mapping[str, tuple[str, str]] = {
    "bridge": ("ip link add name rst0 type bridge", "bridge"),
    "veth": ("ip link add name rst0 type veth peer name rst1", "veth"),
    "VXLAN": (
        "ip link add name rst0 type vxlan id 7 local 127.0.0.1 dstport 4789 nolearning",
        "vxlan",
    ),
}
"""What is tried in a network namespace of its own, and the kernel module it needs."""

Check = Callable[[Look], Finding]


def apt(*packages: str) -> Mapping[str, str]:
    """Return how packages are got on Debian, as root."""
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    return {"debian-12": command, "debian-13": command}


def number(look: Look, path: str) -> int | None:
    """Return the number that a file of the kernel holds."""
    text = (look.text(path) or "").strip()
    return int(text) if text.isdecimal() else None


def kernel(look: Look) -> Finding:
    text = (look.text("/proc/sys/kernel/osrelease") or "").strip()
    version = version_in(text)
    grade = Grade.OK if version is not None and version >= KERNEL_MIN else Grade.MISSING
    return Finding(
        Use.CONTAINERS,
        "kernel",
        grade,
        text or "not Linux",
        f"Linux {dotted(KERNEL_MIN)} or newer: overlay, pidfd, cgroup namespaces as they are used",
        {"any": "upgrade the kernel: apt-get install linux-image-amd64, then reboot"},
    )


def capabilities(look: Look) -> int:
    """Return what this process may do, as a mask."""
    status = look.text("/proc/self/status") or ""
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return int(masks[0], 16) if masks else 0


def root(look: Look) -> Finding:
    mask = capabilities(look)
    enough = all(mask >> bit & 1 for bit in (CAP_SYS_ADMIN, CAP_NET_ADMIN))
    return Finding(
        Use.CONTAINERS,
        "root",
        Grade.OK if enough else Grade.MISSING,
        "may mount and set up networks" if enough else "lacks CAP_SYS_ADMIN or CAP_NET_ADMIN",
        "an agent mounts disks, makes namespaces and writes cgroups",
        {"any": "sudo restow doctor"},
    )


def runc(look: Look) -> Finding:
    path = look.program("runc")
    version = version_in(look.said("runc", "--version"))
    why = "runs containers from an OCI bundle; crun of Debian has no CRIU"
    if path is None or version is None or version < RUNC_MIN:
        seen = "not there" if path is None else f"{path} {dotted(version or (0,))}"
        return Finding(Use.CONTAINERS, "runc", Grade.MISSING, seen, why, apt("runc"))
    seen = f"{dotted(version)}, {path}"
    if version < RUNC_SAFE:
        why = f"before {dotted(RUNC_SAFE)} symlinks in an image can mislead it: trusted images only"
        return Finding(Use.CONTAINERS, "runc", Grade.WEAK, seen, why, {"any": NEWER_RUNC})
    return Finding(Use.CONTAINERS, "runc", Grade.OK, seen, why)


def cgroups(look: Look) -> Finding:
    unified = look.text("/sys/fs/cgroup/cgroup.controllers")
    if unified is not None:
        seen, there = "v2", unified.split()
    else:
        there = [name for name in CONTROLLERS if look.has(f"/sys/fs/cgroup/{name}/cgroup.procs")]
        seen = "v1" if there else "none"
    lacking = [name for name in CONTROLLERS if name not in there]
    return Finding(
        Use.CONTAINERS,
        "cgroups",
        Grade.MISSING if lacking else Grade.OK,
        f"{seen}, without {', '.join(lacking)}" if lacking else seen,
        f"limits and usage of {', '.join(CONTROLLERS)}",
        {"any": "boot with cgroup_enable=memory systemd.unified_cgroup_hierarchy=1"},
    )


def namespaces(look: Look) -> Finding:
    lacking = [name for name in NAMESPACES if not look.has(f"/proc/self/ns/{name}")]
    if number(look, "/proc/sys/user/max_user_namespaces") == 0:
        lacking.append("user (max_user_namespaces is 0)")
    return Finding(
        Use.CONTAINERS,
        "namespaces",
        Grade.MISSING if lacking else Grade.OK,
        f"without {', '.join(lacking)}" if lacking else "all seven",
        "a container sees itself alone",
        {"any": "sysctl -w user.max_user_namespaces=65536"},
    )


def seccomp(look: Look) -> Finding:
    actions = look.text("/proc/sys/kernel/seccomp/actions_avail") or ""
    return Finding(
        Use.CONTAINERS,
        "seccomp",
        Grade.OK if "errno" in actions else Grade.MISSING,
        "filters with errno" if "errno" in actions else "no filters",
        "calls of the kernel that a container has no use for are refused",
        {"any": "use a kernel with CONFIG_SECCOMP_FILTER; Debian's have it"},
    )


def file_systems(look: Look) -> Finding:
    known = (look.text("/proc/filesystems") or "").split()
    lacking = [name for name in FILE_SYSTEMS if name not in known]
    if not look.has("/dev/loop-control"):
        lacking.append("loop")
    return Finding(
        Use.CONTAINERS,
        "file systems",
        Grade.MISSING if lacking else Grade.OK,
        f"without {', '.join(lacking)}" if lacking else "overlay, ext4, loop devices",
        "the disk of a container is an ext4 image of its size; its root is an overlay on it",
        {"any": f"modprobe -a {' '.join(lacking) or 'overlay'}"},
    )


def tools(look: Look) -> Finding:
    needed = {
        "mke2fs": "e2fsprogs",
        "mount": "mount",
        "tar": "tar",
        "git": "git",
        "openssl": "openssl",
    }
    lacking = {name: package for name, package in needed.items() if look.program(name) is None}
    return Finding(
        Use.CONTAINERS,
        "tools",
        Grade.MISSING if lacking else Grade.OK,
        f"without {', '.join(lacking)}" if lacking else ", ".join(needed),
        "disks are made and mounted, images unpacked, applications fetched, certificates made",
        apt(*lacking.values()),
    )


def iproute(look: Look) -> Finding:
    lacking = [name for name in ("ip", "bridge", "tc") if look.program(name) is None]
    return Finding(
        Use.NETWORK,
        "iproute2",
        Grade.MISSING if lacking else Grade.OK,
        f"without {', '.join(lacking)}" if lacking else "ip, bridge, tc",
        "namespaces, veth pairs, forwarding tables, packets held during a move",
        apt("iproute2"),
    )


def tried(name: str) -> Check:
    """Return the check that makes such a device in a namespace that ends with the trial."""
    words, module = NETWORK_TRIALS[name]

    def check(look: Look) -> Finding:
        made = look.said("unshare", "--net", *words.split()) is not None
        return Finding(
            Use.NETWORK,
            name,
            Grade.OK if made else Grade.MISSING,
            "made one" if made else "cannot be made",
            "each environment has a bridge and a VXLAN of its own on each host",
            {"any": f"modprobe {module}"},
        )

    return check


def nftables(look: Look) -> Finding:
    path = look.program("nft")
    works = look.said("unshare", "--net", "nft", "add", "table", "netdev", "restow") is not None
    version = version_in(look.said("nft", "--version"))
    seen = "not there" if path is None else f"{dotted(version or (0,))}, tables of netdev"
    return Finding(
        Use.NETWORK,
        "nftables",
        Grade.OK if works else Grade.MISSING,
        seen if works or path is None else f"{path} cannot make a table of netdev",
        "a container sends from its own addresses only; environments do not meet",
        apt("nftables") if path is None else {"any": "modprobe nf_tables"},
    )


HOSTING: tuple[Check, ...] = (
    *(kernel, root, runc, cgroups, namespaces, seccomp, file_systems, tools),
    *(iproute, *(tried(name) for name in NETWORK_TRIALS), nftables),
)
"""What every host needs, in the order in which it is told."""
