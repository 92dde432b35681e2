"""Both kinds of cgroups are read and written as the kernel documents them."""

import pytest

from handlers.agent.runc.cgroups import (
    Legacy,
    Unified,
    Used,
    cgroups_here,
    core_mhz,
)
from handlers.agent.runtime import RuntimeFailedError

AT = "/restow/h01/node1"
IO_V1 = "8:0 Read 4096\n8:0 Write 1024\n8:0 Total 5120\n253:0 Read 1\nTotal 5121\n"
COUNT_V1 = "8:0 Read 4\n8:0 Write 1\n8:0 Total 5\nTotal 5\n"
V1 = {
    "cpuacct/restow/h01/node1/cpuacct.usage": "7000000\n",
    "memory/restow/h01/node1/memory.usage_in_bytes": "5000\n",
    "memory/restow/h01/node1/memory.stat": "cache 9\ntotal_inactive_file 1000\n",
    "memory/restow/h01/node1/memory.limit_in_bytes": "1024\n",
    "cpu/restow/h01/node1/cpu.cfs_quota_us": "30000\n",
    "blkio/restow/h01/node1/blkio.throttle.io_service_bytes_recursive": IO_V1,
    "blkio/restow/h01/node1/blkio.throttle.io_serviced_recursive": COUNT_V1,
    "freezer/restow/h01/node1/freezer.state": "THAWED\n",
}
V2 = {
    "cgroup.controllers": "cpu io memory pids\n",
    "restow/h01/node1/cpu.stat": "usage_usec 7000\nuser_usec 1\n",
    "restow/h01/node1/memory.current": "5000\n",
    "restow/h01/node1/memory.stat": "anon 9\ninactive_file 1000\n",
    "restow/h01/node1/memory.max": "1024\n",
    "restow/h01/node1/memory.low": "0\n",
    "restow/h01/node1/cpu.max": "30000 100000\n",
    "restow/h01/node1/io.stat": "8:0 rbytes=4096 wbytes=1024 rios=4 wios=1\n253:0 rbytes=1",
    "restow/h01/node1/cgroup.freeze": "0\n",
    "restow/h01/node1/cgroup.events": "populated 1\nfrozen 1\n",
}
BOTH = pytest.mark.parametrize(("files", "kind"), [(V1, Legacy), (V2, Unified)])


def made(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return cgroups_here(root)


@BOTH
def test_a_machine_has_the_one_or_the_other(files, kind, tmp_path):
    assert isinstance(made(tmp_path, files), kind)


@BOTH
def test_what_was_used_is_read(files, kind, tmp_path):
    used = made(tmp_path, files).used(AT)
    assert used == Used(cpu_us=7_000, memory_bytes=4_000, io_bytes=5_121, io_count=5)


@BOTH
def test_of_what_is_gone_nothing_is_known(files, kind, tmp_path):
    cgroups = made(tmp_path, files)
    assert cgroups.used("/restow/h01/node2") == Used()
    assert not cgroups.frozen("/restow/h01/node2")
    cgroups.remove("/restow/h01/node2")


@BOTH
def test_limits_are_read(files, kind, tmp_path):
    assert made(tmp_path, files).limited(AT) == {"memory": 1_024, "cpu": 30_000}


@BOTH
def test_it_is_frozen_and_thawed(files, kind, tmp_path):
    cgroups = made(tmp_path, files)
    assert not cgroups.frozen(AT)
    cgroups.freeze(AT)
    assert cgroups.frozen(AT)
    cgroups.thaw(AT)
    assert not cgroups.frozen(AT)


def test_what_it_is_sure_of_is_said_where_runc_cannot(tmp_path):
    made(tmp_path, V2).hold(AT, 4)
    assert (tmp_path / "restow/h01/node1/memory.low").read_text() == str(4 * 128 << 20)
    made(tmp_path, V1).hold(AT, 4)


def test_what_the_kernel_does_not_take_is_said(tmp_path):
    cgroups = made(tmp_path, V2)
    (tmp_path / "restow/h01/node1/cgroup.freeze").unlink()
    (tmp_path / "restow/h01/node1/cgroup.freeze").mkdir()
    with pytest.raises(RuntimeFailedError, match="does not take '0'"):
        cgroups.thaw(AT)


@BOTH
def test_what_is_empty_is_removed_with_what_is_below(files, kind, tmp_path):
    cgroups = made(
        tmp_path, {name: text for name, text in files.items() if "/restow/" not in f"/{name}"}
    )
    folders = [tmp_path / "cpu", tmp_path / "memory"] if kind is Legacy else [tmp_path]
    for folder in folders:
        (folder / "restow/h01/node1").mkdir(parents=True)
        (folder / "restow/h02").mkdir()
    cgroups.remove("/restow/h01")
    cgroups.remove_if_empty("/restow")
    assert all((folder / "restow").is_dir() for folder in folders)
    cgroups.remove("/restow/h02")
    cgroups.remove_if_empty("/restow")
    assert not any((folder / "restow").exists() for folder in folders)


def test_limits_follow_cloudlets():
    limits = Unified.limits(Unified("/"), 4, 8, core_mhz=3_200)  # type: ignore[arg-type]
    assert limits["memory"] == {
        "limit": 8 * 128 << 20,
        "swap": 8 * 128 << 20,
        "reservation": 4 * 128 << 20,
    }
    assert limits["cpu"]["quota"] == limits["cpu"]["period"]


def test_processors_say_how_fast_they_are_or_are_taken_for_usual(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\ncpu MHz\t\t: 2596.144\n")
    assert core_mhz(info) == 2_596
    info.write_text("processor\t: 0\n")
    assert core_mhz(info) == 2_000
