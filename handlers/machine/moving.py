"""What a host needs to move containers live, and to be the router, looked for one by one."""

from collections.abc import Mapping
from pathlib import Path

from handlers.machine.checks import Check, apt, capabilities, number
from handlers.machine.findings import Finding, Grade, Use
from handlers.machine.looking import Look
from handlers.machine.versions import Version, dotted, version_in

CRIU_MIN: Version = (4, 2)
NEW_KERNEL: Version = (6, 16)
"""From here on an older CRIU fails at the first socket, though `criu check` is content."""
CAP_SYS_RESOURCE = 24
PIPE_BYTES_MIN = 4 * 1024 * 1024
GET_CRIU = Path(__file__).with_name("get-criu.sh")
CRIU_HOME = "/opt/restow/criu"
CRIU_PLACES = (f"{CRIU_HOME}/criu", ".hosts/criu/criu")
"""Where `get-criu.sh` and `make hosts` put it."""
HOLD = (
    "ip link add name rst0 type veth peer name rst1"
    " && tc qdisc add dev rst0 root tbf rate 8bit burst 1600 limit 32mb"
)


def got_criu() -> Mapping[str, str]:
    command = f"sh {GET_CRIU} {CRIU_HOME}"
    return {"debian-12": command, "debian-13": command}


def criu_path(look: Look) -> str | None:
    """Return where CRIU is: as settings say, where we put it, or on the path."""
    return look.program("criu") or next((place for place in CRIU_PLACES if look.has(place)), None)


def criu(look: Look) -> Finding:
    path = criu_path(look)
    why = "saves a process with its open connections, and brings it back"
    if path is None:
        return Finding(Use.MIGRATION, "CRIU", Grade.MISSING, "not there", why, got_criu())
    version = version_in(look.said(path, "--version"))
    seen = f"{dotted(version or (0,))}, {path}"
    system = version_in(look.text("/proc/sys/kernel/osrelease")) or (0,)
    if version is None or (version < CRIU_MIN and system >= NEW_KERNEL):
        why = (
            f"on kernels from {dotted(NEW_KERNEL)} on, before {dotted(CRIU_MIN)} no socket is saved"
        )
        return Finding(Use.MIGRATION, "CRIU", Grade.MISSING, seen, why, got_criu())
    if look.said(path, "check") is None:
        why = "it says itself that this kernel lacks what it needs: run `criu check`"
        return Finding(Use.MIGRATION, "CRIU", Grade.MISSING, seen, why, got_criu())
    return Finding(Use.MIGRATION, "CRIU", Grade.OK, seen, why)


def hold(look: Look) -> Finding:
    works = look.said("unshare", "--net", "sh", "-c", HOLD) is not None
    return Finding(
        Use.MIGRATION,
        "packets held",
        Grade.OK if works else Grade.WEAK,
        "by a token bucket" if works else "cannot be held",
        "packets for a container that is on its way wait at the target; else clients wait a second",
        {"any": "modprobe sch_tbf"},
    )


def resources(look: Look) -> Finding:
    held = bool(capabilities(look) >> CAP_SYS_RESOURCE & 1)
    return Finding(
        Use.MIGRATION,
        "other users",
        Grade.OK if held else Grade.WEAK,
        "CAP_SYS_RESOURCE" if held else "no CAP_SYS_RESOURCE",
        "without it only processes of user 0 of their container can be saved",
        {"any": "give this machine CAP_SYS_RESOURCE (virtual machines and containers may lack it)"},
    )


def dirty(look: Look) -> Finding:
    path = criu_path(look)
    tracked = path is not None and bool(
        "OFF" not in (look.said(path, "check", "--feature", "mem_dirty_track") or "OFF")
    )
    return Finding(
        Use.MIGRATION,
        "pre-copy",
        Grade.OK if tracked else Grade.WEAK,
        "dirty pages are tracked" if tracked else "no soft-dirty in this kernel",
        "memory could be copied ahead while it runs; without it stop-and-copy, or post-copy",
        {"any": "use a kernel with CONFIG_MEM_SOFT_DIRTY; Debian's have it"},
    )


def pipes(look: Look) -> Finding:
    size = number(look, "/proc/sys/fs/pipe-max-size") or 0
    return Finding(
        Use.MIGRATION,
        "post-copy",
        Grade.OK if size >= PIPE_BYTES_MIN else Grade.WEAK,
        f"fs.pipe-max-size is {size:,}",
        f"below {PIPE_BYTES_MIN:,} CRIU loses the pages it is asked for: memory goes first",
        {"any": f"sysctl -w fs.pipe-max-size={PIPE_BYTES_MIN}"},
    )


def needs(name: str, package: str, why: str, *words: str) -> Check:
    """Return the check for a program of the router."""

    def check(look: Look) -> Finding:
        path = look.program(words[0])
        version = version_in(look.said(*words))
        seen = "not there" if path is None else f"{dotted(version or (0,))}, {path}"
        grade = Grade.MISSING if path is None else Grade.OK
        return Finding(Use.TRAFFIC, name, grade, seen, why, apt(package))

    return check


ROUTING: tuple[Check, ...] = (
    needs(
        "HAProxy", "haproxy", "shares connections among the containers of a layer", "haproxy", "-v"
    ),
    needs("Knot", "knot", "answers for the names of environments", "knotd", "--version"),
)
MOVING: tuple[Check, ...] = (criu, hold, pipes, dirty, resources)
