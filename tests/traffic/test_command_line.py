"""The router is set by a file that is looked through before anything is connected to."""

import subprocess
import sys


def agent(*words: str) -> tuple[int, str]:
    command = (sys.executable, "-m", "restow", "agent", "--url", "nats://127.0.0.1:1", *words)
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.returncode, said.stderr


def test_settings_that_cannot_be_used_end_the_agent_with_their_place(tmp_path):
    code, said = agent("--routing", "--traffic", str(tmp_path / "none.toml"))

    assert code == 2
    assert "none.toml: cannot be read (No such file or directory)" in said


def test_settings_of_a_router_without_a_router_are_refused(tmp_path):
    code, said = agent("--host", "h1", "--traffic", str(tmp_path / "none.toml"))

    assert code == 2
    assert "--traffic is for the router: say --routing too" in said
