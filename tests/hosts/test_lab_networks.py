"""In a lab, environments on the same hosts never meet, and one is whole also as it moves."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from restow.lab.fabric import NAMED
from restow.lab.image import PORT
from restow.settings import read_up
from tests.hosts.test_lab import WORDS, label, left, pytestmark, until

__all__ = ["pytestmark"]
RESTOW = (sys.executable, "-m", "restow")
ONCE = f"""
import socket, sys
with socket.socket() as one:
    one.settimeout(2)
    try:
        one.connect((sys.argv[1], {PORT}))
        print("served")
    except OSError:
        print("nobody")
"""
STAYS = f"""
import socket, sys, time
talk = socket.create_connection((sys.argv[1], {PORT}), 10)
talk.settimeout(60)
lines, word = talk.makefile("rb"), b""
for number in range(1, 100_000):
    talk.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    size = [lines.readline() for _ in range(3)][1]
    said, count = lines.read(int(size.split()[1])).split()
    word = word or said
    if (said, count) != (word, b"%d" % number):
        sys.exit(f"{{said}} {{count}} instead of {{word}} {{number}}")
    sys.stdout.write(f"{{number}}\\n"); sys.stdout.flush()
    time.sleep(0.02)
"""


class Region:
    """A lab with three hosts, asked as people ask."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def ask(self, *words: str) -> str:
        up = read_up(self.data)
        assert up is not None
        ended = subprocess.run(
            (*RESTOW, *words, "--url", up.url), capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def show(self, container: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.ask("container", "show", container, "-o", "json"))
        return found

    def inside(self, container: str, script: str, address: str) -> tuple[str, ...]:
        """Return the words that run a program in the network of a container."""
        space = f"{label(self.data / 'agents' / self.show(container)['host'])}-{container}"
        return ("nsenter", f"--net={NAMED / space}", sys.executable, "-S", "-c", script, address)

    def finds(self, container: str, other: str) -> str:
        words = self.inside(container, ONCE, self.show(other)["address"])
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    with (tmp_path / "said").open("wb") as said:
        words = (*WORDS, "up", "--hosts", "3", "--http", "-1", "--data", str(tmp_path))
        process = subprocess.Popen(words, stdout=said, stderr=said)
    try:
        until(lambda: b"up, process" in (tmp_path / "said").read_bytes())
        yield Region(tmp_path)
    finally:
        process.terminate()
        process.wait()
    assert left(tmp_path) == []


def last(said: Path) -> int:
    numbers = said.read_text().split("\n")[:-1]
    assert all(one.isdigit() for one in numbers), numbers[-1]
    return int(numbers[-1]) if numbers else 0


def go_on(said: Path) -> None:
    before = last(said)
    until(lambda: last(said) > before + 20)


def test_environments_on_the_same_hosts_never_meet_and_one_is_whole_as_it_moves(region, tmp_path):
    for name in ("shop", "blog"):
        region.ask("env", "create", name, "--layer", "app:3:hard", "--wait")
    shop, blog = ("node1", "node2", "node3"), ("node4", "node5", "node6")
    hosts = {name: region.show(name)["host"] for name in (*shop, *blog)}
    for names in (shop, blog):
        assert {hosts[name] for name in names} == {"h01", "h02", "h03"}

    def apart() -> None:
        assert region.finds("node1", "node2") == "served"
        assert region.finds("node5", "node4") == "served"
        for name in blog:
            assert region.finds("node1", name) == "nobody"
        assert region.finds("node4", "node2") == "nobody"

    apart()
    region.ask("layer", "scale", "shop/app", "2", "--wait")  # a host is free for the other one
    target = hosts["node3"]
    talk = tmp_path / "talk"
    with talk.open("wb") as out:
        words = region.inside("node1", STAYS, region.show("node2")["address"])
        client = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)
    try:
        go_on(talk)
        region.ask("container", "migrate", "node2", "--to", target, "--wait")
        assert region.show("node2")["host"] == target
        go_on(talk)
        apart()
        go_on(talk)
        assert client.poll() is None
    finally:
        client.kill()
        client.wait()
