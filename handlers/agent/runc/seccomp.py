"""Which calls of the kernel a container may make; every other is refused with EPERM.

What is not in `calls.txt`, on purpose: mounts in any way, other namespaces, tracing and reading the
memory of others, BPF, perf, keys, modules, kexec, clocks, swap, quotas, userfaultfd,
io_uring (which CRIU cannot save), and opening files by handle.
"""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EPERM = 1
ENOSYS = 38
CLONE_NEW = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: another namespace."""
AF_VSOCK = 40
ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}

ALLOWED = tuple(Path(__file__).with_name("calls.txt").read_text(encoding="utf-8").split())


def _rule(names: tuple[str, ...], action: str, **more: Any) -> Mapping[str, Any]:
    return {"names": list(names), "action": action, **more}


def _where(index: int, value: int, operation: str, other: int = 0) -> list[Mapping[str, Any]]:
    return [{"index": index, "value": value, "valueTwo": other, "op": operation}]


def profile() -> Mapping[str, Any]:
    """Return the filter, as OCI has it."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": [ARCHITECTURES[platform.machine()]],
        "syscalls": [
            _rule(ALLOWED, "SCMP_ACT_ALLOW"),
            # A new thread or process, and no new namespace.
            _rule(
                ("clone",),
                "SCMP_ACT_ALLOW",
                args=_where(0, CLONE_NEW, "SCMP_CMP_MASKED_EQ"),
            ),
            # Its flags are behind a pointer and cannot be looked at; programs fall back to clone.
            _rule(("clone3",), "SCMP_ACT_ERRNO", errnoRet=ENOSYS),
            _rule(("socket",), "SCMP_ACT_ALLOW", args=_where(0, AF_VSOCK, "SCMP_CMP_NE")),
            _rule(("personality",), "SCMP_ACT_ALLOW", args=_where(0, 0, "SCMP_CMP_EQ")),
        ],
    }
