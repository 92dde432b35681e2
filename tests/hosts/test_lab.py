"""A lab: its story is as it says, and nothing of it is left, also where it was killed."""

import os
import re
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from handlers.agent.runc.places import LABEL_LENGTH, RUN_DEFAULT
from restow.lab.fabric import NAMED, Fabric
from restow.lab.site import lacking
from restow.locks import is_held
from restow.settings import read_up
from tests.hosts.machine import LACKING
from tests.hosts.test_living import alive

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.skipif(
        bool(LACKING or lacking()), reason=f"make hosts: this machine lacks {LACKING} {lacking()}"
    ),
    pytest.mark.timeout(600),
]
PATIENCE_S = 120.0
WORDS = (sys.executable, "-m", "restow", "lab")


def until(so) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not so():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def label(folder: Path) -> str:
    """Return what the kernel knows a host by; see `Places`, which would make its folders."""
    return f"{folder.name}-{sha256(str(folder.resolve()).encode()).hexdigest()[:LABEL_LENGTH]}"


def left(data: Path) -> list[str]:
    """Return what the kernel holds of a lab."""
    fabric = Fabric.of(data, ())
    labels = [label(data / "agents" / host) for host in ("h01", "h02", "h03")]
    links = Path("/proc/self/net/dev").read_text()
    mounts = Path("/proc/self/mountinfo").read_text()
    groups = [folder for folder, _, _ in os.walk("/sys/fs/cgroup")]
    names = [*NAMED.iterdir()] if NAMED.is_dir() else []
    return [
        *(name.name for name in names if name.name.startswith((f"{fabric.mark}-", *labels))),
        *re.findall(rf"\b{fabric.mark}\b", links),
        *(label for label in labels if label in mounts or (RUN_DEFAULT / label).exists()),
        *(folder for folder in groups if any(label in folder for label in labels)),
    ]


def test_the_story_of_the_lab_is_true_and_leaves_nothing(tmp_path):
    words = (*WORDS, "demo", "--moves", "2", "--data", str(tmp_path))
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert "one connection to one process" in said
    assert len(re.findall(r"^  mv\d+ ", said, re.MULTILINE)) == 3, said
    assert len(re.findall(r"requests, 0 failed$", said, re.MULTILINE)) == 2, said
    assert "NOT" not in said
    assert left(tmp_path) == []


def test_a_lab_that_was_killed_is_taken_away(tmp_path):
    with (tmp_path / "said").open("wb") as said:
        words = (*WORDS, "up", "--hosts", "2", "--http", "-1", "--data", str(tmp_path))
        process = subprocess.Popen(words, stdout=said, stderr=said)
    try:
        until(lambda: b"up, process" in (tmp_path / "said").read_bytes())
        up = read_up(tmp_path)
        assert up is not None
        again = subprocess.run(words, capture_output=True, check=False)
        assert again.returncode == 5, again.stderr
    finally:
        process.kill()
        process.wait()
    until(lambda: not is_held(tmp_path))
    assert left(tmp_path) != []
    for _ in range(2):
        ended = subprocess.run(
            (*WORDS, "down", "--data", str(tmp_path)), capture_output=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert left(tmp_path) == []
    until(lambda: not any(map(alive, up.children.values())))
