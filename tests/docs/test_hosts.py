"""What the page on real hosts shows is taken by those who would have to take it."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from handlers.agent.meters import METERS
from handlers.agent.runc.tools import program
from handlers.bus import close, connect
from handlers.machine.checks import apt
from handlers.nats_server import ServerOptions, start
from handlers.network.wiring import PORT
from restow.cli.app import app
from tests.docs.test_pages import code, objection

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/hosts.md").read_text()
BIN = "/opt/restow/bin/restow "
SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
OWN_MOUNTS = {"PrivateTmp", "ProtectSystem", "ProtectHome", "PrivateMounts", "ReadOnlyPaths"}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def unit(verb: str) -> configparser.SectionProxy:
    """Return what the unit of a process says of its service."""
    for text in blocks("ini"):
        read = configparser.ConfigParser(interpolation=None)
        read.optionxform = str  # type: ignore[assignment]  # their case is theirs
        read.read_string(text)
        if read["Service"]["ExecStart"].startswith(f"{BIN}{verb} "):
            return read["Service"]
    raise AssertionError(verb)


@pytest.mark.parametrize("verb", ["engine", "reader", "agent"])
def test_every_unit_starts_what_can_be_started_again_and_again(verb):
    line = unit(verb)["ExecStart"].removeprefix(BIN)
    app.parse_args(shlex.split(line), exit_on_error=False, print_error=False)
    assert unit(verb)["Restart"] == "always"


def test_shims_outlive_their_agent_and_disks_are_mounted_for_all_to_see():
    agent = unit("agent")
    assert agent["KillMode"] == "process"
    assert OWN_MOUNTS & set(agent) == set()
    assert OWN_MOUNTS & set(unit("engine")) != set()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_every_line(tmp_path):
    for number, text in enumerate(blocks("ini")):
        path = tmp_path / f"restow-{number}.service"
        path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
        words = ("systemd-analyze", "verify", "--man=no", str(path))
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        assert [line for line in ended.stderr.splitlines() if path.name in line] == []


def test_every_command_line_in_a_sentence_can_be_typed():
    spans = re.findall(r"`(?:/opt/restow/bin/)?restow ([a-z][^`]*)`", PAGE)
    assert len(spans) > 8
    assert {span: objection(span) for span in spans if objection(span)} == {}


def test_all_packages_that_containers_and_networks_want_are_installed():
    line = re.search(r"apt-get install .*", PAGE)
    assert line is not None
    installed = set(line[0].split())
    named = re.findall(r"apt\(([^)]*)\)", code())
    wanted = {word for words in named for word in re.findall(r'"([a-z0-9-]+)"', words)}
    assert "runc" in wanted
    assert wanted - {"haproxy", "knot", "knot-dnsutils", "criu"} - installed == set()
    assert apt("x")["debian-12"].split()[:3] == line[0].split()[:3]


@pytest.mark.skipif(
    shutil.which("nft", path=SYSTEM) is None or os.geteuid() != 0, reason="needs nft, and root"
)
def test_the_rules_of_a_host_are_rules():
    (rules,) = blocks("nft")
    nft = shutil.which("nft", path=SYSTEM) or ""
    ended = subprocess.run((nft, "-c", "-f", "-"), input=rules, text=True, check=False)
    assert ended.returncode == 0
    assert (f"udp dport {PORT}" in rules) == (f"{PORT} udp" in PAGE)


async def test_clients_believe_the_authority_that_is_named(tmp_path, monkeypatch):
    authority(tmp_path)
    (tls,) = blocks("conf")
    more = tls.replace("/etc/nats/", f"{tmp_path}/")
    server = await start(ServerOptions(tmp_path / "store", more=more))
    try:
        url = server.url.replace("nats://", "tls://")
        assert "`SSL_CERT_FILE=/etc/restow/ca.pem`" in PAGE
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        bus = await connect(url, name="somebody", within_s=20)
        assert bus.is_connected
        await close(bus)
    finally:
        server.stop()


def authority(folder: Path) -> None:
    """Have an authority, and a certificate by it for a server of this machine."""
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    by = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names"
    for line in (
        f"{new} -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        f"{new} -subj /CN=server -keyout server.key -out server.csr",
        f"x509 -req -in server.csr {by} -out server.pem",
    ):
        words = (program("openssl"), *line.split())
        subprocess.run(words, cwd=folder, check=True, capture_output=True)


def test_what_is_to_be_watched_is_counted():
    named = re.findall(r"`(restow_\w+)", PAGE)
    assert named
    assert set(named) <= {meter.name for meter in METERS} | {"restow_host"}
