"""A real PostgreSQL server for tests: its own data directory, one socket, no network, no fsync."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

WITHIN_S = 60.0
USERS = ("postgres", "nobody")
"""Who it may run as where we are root, which it refuses to be."""
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "128MB",
    "autovacuum_naptime": "1h",
}


def binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


class Postgres:
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._programs = programs
        self._who: dict[str, Any] = _somebody()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://restow@/postgres?host={folder}"

    def make(self) -> None:
        self._own()
        done = subprocess.run(
            [
                *(self._programs / "initdb", "--pgdata", self.data, "--username", "restow"),
                *("--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            check=False,
            capture_output=True,
            cwd=self.folder,
            **self._who,
        )
        assert done.returncode == 0, done.stderr.decode()

    def _own(self) -> None:
        if self._who:
            shutil.chown(self.folder, self._who["user"], self._who["group"])

    def start(self) -> None:
        flags = [flag for name, value in SETTINGS.items() for flag in ("-c", f"{name}={value}")]
        leash: tuple[str, ...] = (sys.executable, "-m", "restow.leash", str(os.getpid()))
        if self._who:  # another user's process cannot be held to us
            leash = ()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*leash, self._programs / "postgres", "-D", self.data, "-k", self.folder, *flags],
                stdout=log,
                stderr=log,
                cwd=self.folder if self._who else None,
                **self._who,
            )
        give_up = time.monotonic() + WITHIN_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < give_up, "PostgreSQL does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        said = subprocess.run([self._programs / "pg_isready", "-q", "-h", self.folder], check=False)
        return said.returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT, its connections are cut; SIGKILL as if power were."""
        if self._process is None:
            return
        if how is signal.SIGKILL:
            how = signal.SIGQUIT  # its own children end too: an immediate stop, recovery follows
        with suppress(ProcessLookupError):
            self._process.send_signal(how)
        self._process.wait(WITHIN_S)
        self._process = None


def _somebody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    for name in USERS:
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    return {}


@contextmanager
def running() -> Iterator[Postgres]:
    """Run a server during the block; the test is skipped where there is none to be run."""
    programs = binaries()
    if programs is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    folder = Path(mkdtemp(prefix="restow-pg-"))
    server = Postgres(folder, programs)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a server that all tests of this process share; each takes a prefix of its own."""
    with running() as server:
        yield server
