"""Images of real programs, made of this machine's own binaries with their libraries."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from handlers.agent.runc import preflight
from handlers.agent.runc.images import Config
from handlers.agent.runc.tools import program
from restow.lab.image import INSIDE, libraries_of, pack
from tests.hosts.firstasked import library
from tests.hosts.machine import Machine
from tests.postgres import Postgres, binaries

SERVED = Path(__file__).with_name("served")
ROOT_ALONE = {"etc/passwd": b"root:x:0:0::/:/bin/sh\n", "etc/group": b"root:x:0:\n"}
NOBODY = 65_534
NGINX = """#!/bin/sh
# Its workers stay root: to become somebody else they would need a capability.
exec {nginx} -e stderr -c /srv/nginx.conf
"""
NGINX_CONF = """
daemon off; user root; worker_processes 2; pid /run/nginx.pid;
events { worker_connections 64; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fast;
    uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server { listen 80; root /srv/files; }
}
"""
POSTGRES = """#!/bin/sh
# Begins with a database that was made before, and goes on with what it has made of it.
[ -d /data/pg ] || (mkdir /data/pg && cp -R /srv/pg/. /data/pg && chmod 700 /data/pg) || exit 1
cd /data/pg && mkdir -p {folders} || exit 1
{loads}exec {postgres} -D /data/pg -k /tmp -c listen_addresses='*' -c shared_buffers=32MB \\
  -c max_connections=20 -c huge_pages=off
"""


def tree(folder: Path, at: str) -> Mapping[str, bytes]:
    """Return the files of a folder, as they are in an image that has it at `at`."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {f"{at}/{path.relative_to(folder)}": path.read_bytes() for path in found}


def linked(*programs: str) -> Mapping[str, bytes]:
    """Return programs and the libraries they are loaded with, where they are on this machine."""
    whole = (*programs, *libraries_of(*programs))
    return {path.lstrip("/"): Path(path).read_bytes() for path in whole}


def add_notes(machine: Machine) -> str:
    archive = machine.data / "notes.tar"
    needed = ("http.server", "sqlite3", "json")
    python, libraries = pack(archive, SERVED / "notes.py", needed)
    config = Config(
        command=(python, "-I", "-S", "-B", INSIDE, "8080"),
        variables={"LD_LIBRARY_PATH": ":".join(libraries)},
        labels={"restow.health": "tcp:8080"},
        volumes=("/data",),
    )
    return machine.add_packed("notes:1", archive, config)


def add_redis(machine: Machine) -> str:
    redis = program("redis-server")
    words = (redis, "--protected-mode", "no", "--dir", "/data", "--appendonly", "yes")
    config = Config(command=words, labels={"restow.health": "tcp:6379"}, volumes=("/data",))
    return machine.add("redis:1", config, programs=linked(redis))


def add_nginx(machine: Machine, large: bytes) -> str:
    nginx = program("nginx")
    files = {"srv/files/large": large, "srv/files/small": b"small\n"}
    texts = {"bin/serve": NGINX.format(nginx=nginx), "srv/nginx.conf": NGINX_CONF}
    config = Config(command=("/bin/serve",), labels={"restow.health": "tcp:80"})
    return machine.add("nginx:1", config, texts, {**linked(nginx), **ROOT_ALONE, **files})


def add_postgres(machine: Machine) -> str:
    """It runs as the user it wants to be, where CRIU can save processes of others than root."""
    programs = binaries()
    assert programs is not None, "needs PostgreSQL: apt-get install postgresql"
    made = Postgres(machine.run / "made", programs)
    made.folder.mkdir()
    made.make()
    (made.data / "postgresql.conf").write_text("")  # it names a time zone that the image lacks
    with (made.data / "pg_hba.conf").open("a") as trusted:
        trusted.write("host all all all trust\n")
    seed = tree(made.data, "srv/pg")
    folders = sorted(path for path in made.data.rglob("*") if path.is_dir())
    postgres = str(programs / "postgres")
    script = POSTGRES.format(
        postgres=postgres,
        folders=" ".join(str(path.relative_to(made.data)) for path in folders),
        loads="" if preflight.has_resources() else "export LD_PRELOAD=/lib/first-asked.so\n",
    )
    shutil.rmtree(made.folder)
    share = Path("/usr/share/postgresql") / programs.parent.name
    files = {
        **linked(postgres, str(programs.parent / "lib" / "plpgsql.so")),
        **tree(share / "timezonesets", f"{share}/timezonesets".lstrip("/")),
        **ROOT_ALONE,
        **seed,
        "lib/first-asked.so": library(),
    }
    user = str(NOBODY) if preflight.has_resources() else "0"
    config = Config(
        command=("/bin/serve",),
        user=user,
        labels={"restow.health": "tcp:5432"},
        volumes=("/data",),
    )
    return machine.add("postgres:1", config, {"bin/serve": script}, files)
