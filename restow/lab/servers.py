"""The DNS server and the balancer of a lab: a Knot and a HAProxy of its own, at the edge."""

import asyncio
import time
from pathlib import Path

import msgspec

from handlers.agent.runc.tools import program, run
from handlers.traffic.configuration import text
from handlers.traffic.settings import Haproxy, read_settings
from restow.crew import Crew, Member
from restow.lab.fabric import EDGE, Fabric
from restow.up import StartError

ZONE, ABROAD = "restow.internal", "apps.example"
DNS_PORT, HTTP_PORT = 53, 80
TCP_PORTS = (20_000, 20_099)
READY_S = 20.0
POLL_S = 0.05
KNOT = """\
server:
  rundir: {folder}
  listen: {address}@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
control:
  listen: {folder}/knot.sock
database:
  storage: {folder}/database
log:
  - target: stdout
    any: warning
{key}
acl:
  - id: router
    key: restow
    action: [update, transfer]
template:
  - id: default
    storage: {folder}
    zonefile-sync: -1
    journal-content: all
    journal-max-usage: 10M
    acl: router
zone:
  - domain: {zone}
  - domain: {abroad}
"""
ZONE_FILE = """\
@ 60 SOA ns admin 1 3600 600 86400 1
@ 60 NS ns
ns 60 A {address}
"""
TRAFFIC = """\
[dns]
servers = ["{address}:{port}"]
key = "{folder}/tsig.key"
zones = ["{zone}"]
external = {{ zone = "{abroad}", zone_of = "{zone}", public = ["{address}"] }}

[haproxy]
socket = "{folder}/haproxy.sock"
configuration = "{folder}/haproxy.cfg"
http = "{address}:{http}"
tcp_address = "{address}"
tcp_ports = [{first}, {last}]
"""


class Servers(msgspec.Struct, frozen=True):
    """What is at the edge of a lab, with its files in `folder`."""

    fabric: Fabric
    folder: Path

    @property
    def settings(self) -> Path:
        """Return the settings of the router."""
        return self.folder / "traffic.toml"

    async def start(self, members: Crew) -> None:
        """Start both, and return when they answer. Raises `StartError`."""
        balancer = self._write(await run("keymgr", "-t", "restow", "hmac-sha256"))
        inside = self.fabric.inside(EDGE)
        conf = str(self.folder / "knot.conf")
        await members.start(Member("knot", (*inside, program("knotd"), "-c", conf)))
        master = ("-W", "-S", f"{balancer.socket},mode,600", "-f", balancer.configuration)
        await members.start(Member("haproxy", (*inside, program("haproxy"), *master)))
        for name, port in (("knot", DNS_PORT), ("haproxy", HTTP_PORT)):
            await self._until_it_answers(members, name, port)

    def _write(self, key: str) -> Haproxy:
        """Write what both are started from."""
        address, folder = self.fabric.edge, self.folder
        (folder / "database").mkdir(parents=True, exist_ok=True)
        secret = folder / "tsig.key"
        secret.touch(mode=0o600)
        secret.write_text(key)
        for zone in (ZONE, ABROAD):
            (folder / f"{zone}.zone").write_text(ZONE_FILE.format(address=address))
        names = {"address": address, "folder": folder, "zone": ZONE, "abroad": ABROAD}
        conf = folder / "knot.conf"
        conf.touch(mode=0o600)
        conf.write_text(KNOT.format(**names, port=DNS_PORT, key=key.strip()))
        first, last = TCP_PORTS
        ports = {"port": DNS_PORT, "http": HTTP_PORT, "first": first, "last": last}
        self.settings.write_text(TRAFFIC.format(**names, **ports))
        balancer = read_settings(self.settings).haproxy
        Path(balancer.configuration).write_text(text(balancer, [], [], None))
        return balancer

    async def _until_it_answers(self, members: Crew, name: str, port: int) -> None:
        give_up = time.monotonic() + READY_S
        while True:
            try:
                _, talk = await asyncio.open_connection(self.fabric.edge, port)
            except OSError as error:
                if time.monotonic() > give_up:
                    tail = members.log_tail(name)
                    message = f"{name} does not answer at {self.fabric.edge}:{port}: {tail}"
                    raise StartError(message) from error
                await asyncio.sleep(POLL_S)
            else:
                talk.close()
                return
