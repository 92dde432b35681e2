"""The demo from its first line to its last: everything it prints is true, and nothing is left."""

import os
import subprocess
import sys

import psutil
import pytest

SPEED = "4"
PROMISES = 17


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return ""


@pytest.mark.timeout(180)
def test_the_demo_keeps_its_promises_and_leaves_nothing(tmp_path):
    ended = subprocess.run(
        (sys.executable, "-m", "restow", "demo", "--speed", SPEED),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("all of it is true\n")
    assert ended.stdout.count("\n  kept    ") == PROMISES
    assert "BROKEN" not in ended.stdout
    assert "kill -9" in ended.stdout
    assert list(tmp_path.iterdir()) == []
    assert [one for one in psutil.process_iter() if str(tmp_path) in command_line(one)] == []
