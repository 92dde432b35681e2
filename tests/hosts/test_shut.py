"""What a container cannot do: each wall is leant on from inside.

Every test here is made three times: `isolated`, `movable`, and `movable` after a live move.
"""

import os
import platform
from pathlib import Path

import pytest

from domain.messages import CPU_OF_A_CLOUDLET_MHZ, MEMORY_OF_A_CLOUDLET_MIB
from handlers.agent.runc.cgroups import PERIOD_US, PIDS_MAX, core_mhz
from handlers.agent.runc.hardening import MASKED, RANGE, Profile
from handlers.agent.runc.tools import run
from handlers.agent.runtime import RuntimeFailedError
from tests.hosts.machine import REAL
from tests.hosts.walls import LIMIT, A, B, Inside, Stay, limits, mounts

pytestmark = [*REAL, pytest.mark.skipif(platform.machine() != "x86_64", reason="probe is x86-64")]

FORBIDDEN = {
    "chroot": 161, "ptrace": 101, "pivot_root": 155, "iopl": 172, "settimeofday": 164,
    "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169, "init_module": 175,
    "delete_module": 176, "quotactl": 179, "clock_settime": 227, "kexec_load": 246,
    "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298,
    "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "finit_module": 313, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "mount_setattr": 442,
}  # fmt: skip
EPERM = 1
CAN = {"getpid": 39, "sched_yield": 24, "sync": 162}
WRITABLE = ("/data", "/tmp", "/run", "/dev", "/dev/shm")  # noqa: S108 - the container's
OURS = ("/", "/sys", "/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/sysrq-trigger")
READ_ONLY = tuple(path for path in (*OURS, *MASKED) if Path(path).exists())


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((Profile.ISOLATED, Stay.AT_HOME), id="isolated"),
        pytest.param((Profile.MOVABLE, Stay.AT_HOME), id="movable"),
        pytest.param((Profile.MOVABLE, Stay.MOVED), id="movable-moved"),
    ],
)
def inside(request, tmp_path_factory):
    """Two containers of one host, in each profile, and live from another host."""
    profile, stay = request.param
    with Inside.of(tmp_path_factory.mktemp("shut"), profile, stay) as made:
        yield made


@pytest.mark.parametrize("way", [Inside.sh, Inside.exec])
async def test_calls_that_it_has_no_use_for_are_refused(way, inside):
    script = "; ".join(f"/bin/call {number}; echo {name} $?" for name, number in FORBIDDEN.items())
    said = dict(line.split() for line in (await way(inside, script)).splitlines())
    assert {name for name, code in said.items() if int(code) != EPERM} == set()
    assert set(said) == set(FORBIDDEN)


async def test_calls_of_every_day_are_not(inside):
    script = "; ".join(f"/bin/call {number}; echo {name} $?" for name, number in CAN.items())
    said = dict(line.split() for line in (await inside.sh(script)).splitlines())
    assert said["sync"] == said["sched_yield"] == "0"
    assert int(said["getpid"]) != EPERM


def test_it_has_no_capability_and_gets_none(inside):
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(inside.status(kind), 16) == 0, kind
    assert inside.status("NoNewPrivs") == "1"
    assert inside.status("Seccomp") == "2"
    assert inside.status("Seccomp_filters") == "1"


async def test_nor_has_who_is_put_beside_it(inside):
    said = await inside.exec("grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status")
    told = dict(line.split(":") for line in said.splitlines())
    assert (told.pop("NoNewPrivs").strip(), told.pop("Seccomp").strip()) == ("1", "2")
    assert {int(mask, 16) for mask in told.values()} == {0}


async def test_what_root_does_elsewhere_it_cannot_do(inside):
    tries = (
        "mount -t tmpfs x /tmp",
        "mknod /tmp/disk b 8 0",
        "hostname other",
        "chown 1:1 /data",
        "unshare -U true",
        "chroot /tmp /bin/true",
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /proc/sys/kernel/panic",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "ping -c 1 -W 1 127.0.0.1",
        "kill -9 2147",
    )
    for attempt in tries:
        said = await inside.sh(f"({attempt}) 2>&1 && echo done; true")
        assert "done" not in said.split(), attempt


async def test_its_root_cannot_be_written_and_its_own_places_can(inside):
    for path in ("/", "/bin", "/etc", "/sys", "/proc"):
        assert "yes" not in await inside.sh(f"touch {path}/x 2>/dev/null && echo yes; true"), path
    for path in WRITABLE:
        assert await inside.sh(f"touch {path}/x && echo yes") == "yes", path


async def test_nothing_is_run_from_where_it_may_write(inside):
    for path in WRITABLE:
        script = f"cat /bin/busybox > {path}/b; chmod 755 {path}/b; {path}/b true && echo ran; true"
        assert "ran" not in (await inside.sh(script)).split(), path


async def test_what_it_may_write_has_a_size(inside):
    script = "dd if=/dev/zero of=/tmp/full bs=1M count=80 2>&1; rm -f /tmp/full; true"
    assert "No space left" in await inside.sh(script)
    script = "dd if=/dev/zero of=/data/full bs=1M seek=1100 count=1 2>&1; ls /data/full"
    assert "No space left" not in await inside.sh(script), "a hole takes no room"
    script = "dd if=/dev/zero of=/data/full bs=1M count=1100 2>&1; rm -f /data/full; true"
    assert "No space left" in await inside.sh(script)


def test_every_mount_is_quiet_and_what_is_its_machines_is_read_only(inside):
    found = {line.split()[0]: line.split() for line in mounts(inside.pid())}
    assert {*WRITABLE, *READ_ONLY} < found.keys()
    for at, words in found.items():
        if Path(at).is_char_device():
            continue  # in a user namespace: the machine's, and nobody inside is its owner
        wanted = {"nosuid", "ro" if at in READ_ONLY else "noexec"}
        wanted |= set() if at in MASKED or at.startswith("/dev") else {"nodev"}
        assert wanted <= {*words[2].split(",")}, at


async def test_it_sees_itself_alone(inside):
    mounts = await inside.sh("cat /proc/self/mountinfo")
    assert str(inside.machine.data) not in mounts.replace(str(inside.machine.run), "")
    numbers = [int(name) for name in (await inside.sh("ls /proc")).split() if name.isdecimal()]
    assert len(numbers) < 8
    assert (await inside.sh("cat /proc/1/comm")) == "answers"
    for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list"):
        assert await inside.sh(f"cat {path} 2>/dev/null | wc -c") == "0"


def null() -> tuple[int, int]:
    """Return when the machine's own /dev/null was changed, and who may do what with it."""
    of = Path(os.devnull).stat()
    return of.st_mtime_ns, of.st_mode


@pytest.mark.parametrize("attempt", ["touch -d @86400", "chmod 666"])
async def test_what_is_masked_is_not_the_machines_to_be_changed(attempt, inside):
    before = null()
    for path in MASKED:
        said = await inside.sh(f"[ -e {path} ] && {attempt} {path} 2>&1 && echo done; true")
        assert "done" not in said.split(), path
    assert null() == before


async def test_port_80_is_for_everybody_inside(inside):
    assert await inside.sh("nc -l -p 80 2>&1 & usleep 300000; kill $! 2>/dev/null; true") == ""


def test_it_shares_no_namespace(inside):
    kinds = ["pid", "ipc", "uts", "net", "mnt", "cgroup"]
    kinds += ["user"] if inside.profile is Profile.ISOLATED else []
    for kind in kinds:
        spaces = {
            str(Path(f"/proc/{pid}/ns/{kind}").readlink())
            for pid in (inside.pid(), inside.pid(B), os.getpid())
        }
        assert len(spaces) == 3, kind


def test_in_a_user_namespace_nobody_else_has_its_users(inside):
    maps = [Path(f"/proc/{inside.pid(name)}/uid_map").read_text().split() for name in (A, B)]
    if inside.profile is Profile.MOVABLE:
        assert all(int(size) > RANGE for _, _, size in maps)
        return
    (first, second) = (int(outside) for _, outside, _ in maps)
    assert abs(first - second) >= RANGE
    assert all(int(outside) >= RANGE and int(size) == RANGE for _, outside, size in maps)
    owner = inside.runtime.home(A).volume("/data").stat().st_uid
    assert owner == first


async def test_a_hog_of_memory_dies_and_its_container_lives(inside):
    await inside.sh("dd if=/dev/zero of=/dev/null bs=700M count=1 2>&1; true")
    found = inside.runtime.look(A)
    assert found is not None
    assert found.running
    core = await inside.sh("cat /proc/self/limits | grep 'Max core'")
    assert core.split()[4:6] == ["0", "0"]


def test_its_limits_are_what_it_was_to_have(inside):
    found = limits(inside.runtime.cgroup(A))
    assert found["pids.max"] == str(PIDS_MAX)
    given = inside.runtime.limits(A)
    assert given["memory"] == LIMIT * MEMORY_OF_A_CLOUDLET_MIB << 20
    assert given["cpu"] == LIMIT * CPU_OF_A_CLOUDLET_MHZ * PERIOD_US // core_mhz()


async def test_a_fork_bomb_ends_at_its_limit(inside):
    """The neighbour's: what has no room for another process cannot be asked anything more."""
    state = str(inside.machine.places(inside.host).state)
    await run("runc", "--root", state, "update", "--pids-limit", "20", B)
    four = " ".join(["sleep 1 &"] * 4)
    with pytest.raises(RuntimeFailedError, match="fork"):
        await inside.exec(f"for i in 1 2 3 4 5; do {four} done", B)
