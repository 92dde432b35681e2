"""Whatever a machine lacks is found, named, and told how to get; nothing else is."""

import msgspec
import pytest
from msgspec.structs import replace as changed

from handlers.machine.doctor import distribution, examine
from handlers.machine.findings import Diagnosis, Finding, Grade, Use
from handlers.machine.looking import ThisMachine
from handlers.machine.moving import CRIU_HOME
from handlers.machine.versions import version_in

V1 = {f"/sys/fs/cgroup/{name}/cgroup.procs": "" for name in ("cpu", "memory", "pids")}
V2 = {"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n"}
SPACES = {
    f"/proc/self/ns/{name}": "" for name in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
}
FILES = {
    "/etc/os-release": 'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="13"\n',
    "/proc/sys/kernel/osrelease": "6.18.44-amd64\n",
    "/proc/self/status": "Name:\trestow\nCapEff:\t000001ffffffffff\n",
    "/proc/sys/kernel/seccomp/actions_avail": "kill_process trap errno log allow\n",
    "/proc/filesystems": "nodev\toverlay\n\text4\n",
    "/proc/sys/user/max_user_namespaces": "64000\n",
    "/proc/sys/fs/pipe-max-size": "4194304\n",
    "/dev/loop-control": "",
}
SAYS = {
    "runc --version": "runc version 1.3.3\nspec: 1.2.1\n",
    "criu --version": "Version: 4.2.1\n",
    "criu check": "Looks good.\n",
    "criu check --feature mem_dirty_track": "mem_dirty_track is supported\n",
    "nft --version": "nftables v1.1.3 (Commodore Bullmoose #4)\n",
    "haproxy -v": "HAProxy version 3.0.11\n",
    "knotd --version": "knotd (Knot DNS), version 3.4.6\n",
    "mke2fs": "",
    "mount": "",
    "tar": "",
    "git": "",
    "openssl": "",
    "ip": "",
    "bridge": "",
    "tc": "",
    "unshare": "",
}


class Fake(msgspec.Struct, frozen=True):
    """A machine that is as it is written down; what is tried in a namespace works, unless not."""

    files: dict[str, str] = {}
    says: dict[str, str] = {}
    fails: tuple[str, ...] = ()

    def text(self, path: str) -> str | None:
        return self.files.get(path)

    def has(self, path: str) -> bool:
        return path in self.files

    def program(self, name: str) -> str | None:
        known = {words.split()[0] for words in self.says}
        return f"/usr/sbin/{name}" if name in known else None

    def said(self, *words: str) -> str | None:
        line = " ".join(words).removeprefix("/usr/sbin/")
        if any(part in line for part in self.fails):
            return None
        return "" if words[0] == "unshare" else self.says.get(line)


SOUND = Fake({**FILES, **V1, **SPACES}, SAYS)


def lacking(machine: Fake) -> list[str]:
    return [one.name for one in examine(machine).findings if one.grade is not Grade.OK]


def found(diagnosis: Diagnosis, name: str) -> Finding:
    return next(one for one in diagnosis.findings if one.name == name)


@pytest.mark.parametrize("cgroups", [V1, V2], ids=["v1", "v2"])
def test_a_sound_machine_lacks_nothing_and_can_do_everything(cgroups):
    diagnosis = examine(Fake({**FILES, **SPACES, **cgroups}, SAYS))
    assert [one.name for one in diagnosis.findings if one.grade is not Grade.OK] == []
    assert all(diagnosis.able(use) for use in Use)
    assert all(diagnosis.remedy(finding) == {} for finding in diagnosis.findings)


WITHOUT_FILE = [
    ("/proc/sys/kernel/osrelease", "kernel"),
    ("/proc/self/status", "root"),
    ("/sys/fs/cgroup/memory/cgroup.procs", "cgroups"),
    ("/proc/self/ns/user", "namespaces"),
    ("/proc/sys/kernel/seccomp/actions_avail", "seccomp"),
    ("/proc/filesystems", "file systems"),
    ("/dev/loop-control", "file systems"),
]


@pytest.mark.parametrize(("path", "name"), WITHOUT_FILE)
def test_without_it_no_containers_and_so_nothing_to_move(path, name):
    diagnosis = examine(Fake({at: text for at, text in SOUND.files.items() if at != path}, SAYS))
    assert name in [one.name for one in diagnosis.missing(Use.CONTAINERS)]
    assert not diagnosis.able(Use.CONTAINERS)
    assert not diagnosis.able(Use.MIGRATION)
    assert diagnosis.remedy(found(diagnosis, name))


WITHOUT_PROGRAM = [
    ("runc", "runc", Use.CONTAINERS),
    ("mke2fs", "tools", Use.CONTAINERS),
    ("tc", "iproute2", Use.NETWORK),
    ("nft", "nftables", Use.NETWORK),
    ("haproxy", "HAProxy", Use.TRAFFIC),
    ("knotd", "Knot", Use.TRAFFIC),
    ("criu", "CRIU", Use.MIGRATION),
]


@pytest.mark.parametrize(("program", "name", "use"), WITHOUT_PROGRAM)
def test_a_program_that_is_not_there_is_named_with_the_command_that_gets_it(program, name, use):
    says = {line: text for line, text in SAYS.items() if line.split()[0] != program}
    diagnosis = examine(changed(SOUND, says=says, fails=(program,)))
    assert [one.name for one in diagnosis.missing(use)] == [name]
    (command,) = diagnosis.remedy(found(diagnosis, name)).values()
    assert ("apt-get install" in command) or command.endswith(f"get-criu.sh {CRIU_HOME}")


@pytest.mark.parametrize(
    ("fails", "name"),
    [("type bridge", "bridge"), ("type vxlan", "VXLAN"), ("netdev restow", "nftables")],
)
def test_what_the_kernel_refuses_is_noticed_by_trying(fails, name):
    diagnosis = examine(changed(SOUND, fails=(fails,)))
    assert [one.name for one in diagnosis.missing(Use.NETWORK)] == [name]
    assert next(iter(diagnosis.remedy(found(diagnosis, name)).values())).startswith("modprobe")


def test_an_old_runc_serves_and_is_said_to_be_less_safe():
    diagnosis = examine(changed(SOUND, says={**SAYS, "runc --version": "runc version 1.1.5+ds1"}))
    assert found(diagnosis, "runc").grade is Grade.WEAK
    assert diagnosis.able(Use.CONTAINERS)
    assert "1.2.8" in diagnosis.remedy(found(diagnosis, "runc"))["any"]


def test_an_ancient_runc_does_not_serve():
    machine = changed(SOUND, says={**SAYS, "runc --version": "runc version 1.0.0"})
    assert found(examine(machine), "runc").grade is Grade.MISSING


@pytest.mark.parametrize(
    ("kernel", "grade"), [("6.18.1", Grade.MISSING), ("6.12.48+deb13", Grade.OK)]
)
def test_criu_of_debian_serves_on_kernels_of_debian_alone(kernel, grade):
    files = {**SOUND.files, "/proc/sys/kernel/osrelease": kernel}
    machine = Fake(files, {**SAYS, "criu --version": "Version: 4.1.1"})
    assert found(examine(machine), "CRIU").grade is grade


def test_criu_is_not_believed_when_its_own_check_fails():
    assert not examine(changed(SOUND, fails=("criu check",))).able(Use.MIGRATION)


def test_what_makes_moves_worse_does_not_prevent_them():
    files = {
        **SOUND.files,
        "/proc/sys/fs/pipe-max-size": "1048576",
        "/proc/self/status": "CapEff:\t000001fffeffffff\n",
    }
    machine = Fake(files, SAYS, fails=("tbf", "mem_dirty_track"))
    assert lacking(machine) == ["packets held", "post-copy", "pre-copy", "other users"]
    assert examine(machine).able(Use.MIGRATION)


def test_an_unknown_distribution_is_told_the_commands_of_all():
    machine = changed(SOUND, files={**SOUND.files, "/etc/os-release": "ID=arch\n"}, fails=("tc",))
    says = {line: text for line, text in SAYS.items() if line != "tc"}
    diagnosis = examine(changed(machine, says=says))
    assert diagnosis.distribution == "arch"
    assert set(diagnosis.remedy(found(diagnosis, "iproute2"))) == {"debian-12", "debian-13"}


def test_nothing_is_known_of_a_machine_that_says_nothing():
    diagnosis = examine(Fake())
    assert distribution(Fake()) == "unknown"
    assert not any(diagnosis.able(use) for use in Use)


def test_versions_are_numbers():
    assert version_in("runc version 1.1.5+ds1") == (1, 1, 5)
    assert version_in("1.10.0") > version_in("1.9.9")  # type: ignore[operator]
    assert version_in("none") is None


def test_this_machine_can_be_looked_at(tmp_path):
    look = ThisMachine({"runc": str(tmp_path / "gone")})
    assert look.program("runc") is None
    assert look.said("runc", "--version") is None
    assert look.text("/proc/self/status") is not None
    assert look.text(str(tmp_path / "gone")) is None
    assert look.said("sh", "-c", "echo there") == "there\n"
    assert look.said("sh", "-c", "exit 3") is None
    assert look.has("/proc")
