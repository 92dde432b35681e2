"""Whether a machine can move containers live is tried, and nothing is left of the trial."""

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from handlers.agent.runc import proving
from handlers.agent.runc.proving import prove
from handlers.agent.runc.wires import NAMED
from handlers.agent.runtime import Room, RuntimeFailedError
from tests.agent.fleet import WEB
from tests.hosts.machine import COUNTER, REAL, Machine, seen
from tests.hosts.test_moves import SPEC

pytestmark = REAL
LIES = """#!/bin/sh
# Says of itself that all is well, and saves nothing.
[ "$1" = check ] && { echo "Looks good."; exit 0; }
exit 1
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from handlers.agent.runc import proving
proving.MARK = sys.argv[2]
with proving._place(Path(sys.argv[1])) as places:
    proof = proving.Proof(places)
    proof._build()
    proof._runc("run", "--detach", "--bundle", str(proof._home.run))
    proof._counted_beyond(0, "does not run")
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""One that dies where it has most to leave."""


@pytest.fixture
def mark(monkeypatch):
    """Give trials a name that nobody else's have."""
    made = f"try{secrets.token_hex(4)}-"
    monkeypatch.setattr(proving, "MARK", made)
    return made


def left(run: Path, mark: str) -> list[str]:
    """Return what there is of trials: in the folder, and in the kernel by their names."""
    return [
        *(str(folder) for folder in run.glob(f"{mark}*")),
        *(str(space) for space in NAMED.glob(f"{mark}*")),
        *(folder for folder, _, _ in os.walk("/sys/fs/cgroup") if f"/{mark}" in folder),
        *(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if mark in line),
    ]


def test_what_can_be_moved_live_is_proven_and_leaves_nothing(tmp_path, mark):
    ability = prove(tmp_path)
    assert (ability.live, ability.why) == ("stop_copy", "")
    assert ability.took_ms > 0
    assert left(tmp_path, mark) == []


def test_a_criu_that_only_says_so_is_found_out(tmp_path, mark, monkeypatch):
    criu = tmp_path / "criu"
    criu.write_text(LIES)
    criu.chmod(0o755)
    monkeypatch.setenv("RESTOW_CRIU", str(criu))
    ability = prove(tmp_path)
    assert ability.live == "none"
    assert "criu" in ability.why.lower()
    assert left(tmp_path, mark) == []


def test_what_a_killed_trial_left_is_taken_away_by_the_next(tmp_path, mark):
    words = (sys.executable, "-c", KILLED, str(tmp_path), mark)
    ended = subprocess.run(words, cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(left(tmp_path, mark)) > 2
    assert prove(tmp_path).live == "stop_copy"
    assert left(tmp_path, mark) == []


@pytest.mark.parametrize("lame", ["h01", "h02"])
async def test_who_cannot_refuses_before_anything_stands_still(lame, tmp_path):
    machine = Machine.made(tmp_path)
    machine.add("counter:1", COUNTER)
    runtimes = {}
    for host in ("h01", "h02"):
        machine.unable = "its CRIU is too old" if host == lame else ""
        runtimes[host] = machine.open(host)
    here, there = runtimes["h01"], runtimes["h02"]
    try:
        await here.start(SPEC, "o1")
        pid = here.pid(WEB)
        with pytest.raises(RuntimeFailedError, match="moves nothing live: its CRIU is too old"):
            await here.copy(WEB, await there.receive(Room(WEB, 1, 2, 1), "mv1"))
        assert seen(here, WEB).running
        assert here.pid(WEB) == pid
    finally:
        for runtime in runtimes.values():
            runtime.close()
        machine.sweep()
