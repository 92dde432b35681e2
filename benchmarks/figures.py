"""A figure, what it is held against, and the machine it was measured on."""

import platform
import subprocess
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent


class Figure(msgspec.Struct, frozen=True):
    """One line of the table. `good` is None where there is no goal."""

    name: str
    value: str
    beside: str = ""
    goal: str = ""
    good: bool | None = None


def table(figures: list[Figure]) -> str:
    """Return the figures as a Markdown table."""
    mark = {None: "", True: "yes", False: "**no**"}
    head = "| what | measured | beside it, in the same run | goal | met |"
    lines = [head, "|---|---|---|---|---|"]
    lines += [f"| {f.name} | {f.value} | {f.beside} | {f.goal} | {mark[f.good]} |" for f in figures]
    return "\n".join(lines)


def machine() -> str:
    """Return where this was measured, and at which commit."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = len([x for x in Path("/proc/cpuinfo").read_text().splitlines() if x[:9] == "processor"])
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - git on the path
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        f"{cores} cores of {cpu}, Linux {platform.release()}, Python {platform.python_version()},"
        f" commit {commit or 'unknown'}"
    )
