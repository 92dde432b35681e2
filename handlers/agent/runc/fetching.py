"""Applications brought to a host: archives by https or from a file, and references of git.

What has been fetched is kept under what it was named by, and fetched again each time it is asked
for, since a branch moves on. See `Fetch`.
"""

import asyncio
import shutil
import sys
import urllib.error
import urllib.request
from hashlib import sha256
from pathlib import Path

from domain.software import Application
from handlers.agent.fetch import Fetched, FetchFailedError
from handlers.agent.runc.images import digest_of
from handlers.agent.runc.tools import run
from handlers.agent.runtime import RuntimeFailedError

BYTES_MAX = 1 << 30
"""An archive may be so large."""
PATIENCE_S = 60.0
BLOCK_BYTES = 1 << 20


class Applications:
    """The applications under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def place(self, application: Application) -> Path:
        """Return where the content of an application is, once it has been fetched."""
        return self._folder / sha256(application.label.encode()).hexdigest()

    async def fetch(self, application: Application, mark: str) -> Fetched:
        """See `Fetch.fetch`."""
        place = self.place(application)
        fresh = place.with_name(f".{place.name}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        try:
            digest = await (
                self._archive(application, fresh)
                if application.archive
                else self._repository(application, fresh)
            )
        except RuntimeFailedError as error:
            message = f"{application.label} could not be fetched for {mark}: {error}"
            raise FetchFailedError(message) from error
        shutil.rmtree(place, ignore_errors=True)
        fresh.replace(place)
        return Fetched(application, digest)

    async def _archive(self, application: Application, into: Path) -> str:
        packed = into.with_suffix(".packed")
        await asyncio.to_thread(_download, application.archive, packed)
        digest = await asyncio.to_thread(digest_of, packed)
        if application.sha256 and digest != application.sha256:
            packed.unlink()
            message = f"its SHA-256 is {digest}, not {application.sha256}"
            raise RuntimeFailedError(message)
        if packed_as_zip(packed):
            await run(sys.executable, "-m", "zipfile", "-e", str(packed), str(into))
        else:
            await run("tar", "-x", "--no-same-owner", "-C", str(into), "-f", str(packed))
        packed.unlink()
        return digest

    async def _repository(self, application: Application, into: Path) -> str:
        """Fetch one reference, without its history; a commit is asked for by its name."""
        git = ("git", "-c", "protocol.ext.allow=never", "-C", str(into))
        await run(*git, "init", "--quiet")
        ref = application.ref or "HEAD"
        await run(*git, "fetch", "--quiet", "--depth", "1", "--", application.vcs, ref)
        await run(*git, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        commit = await run(*git, "rev-parse", "HEAD")
        shutil.rmtree(into / ".git")
        return sha256(commit.encode()).hexdigest()


def packed_as_zip(path: Path) -> bool:
    """Tell by its first bytes whether an archive is a ZIP."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _download(url: str, into: Path) -> None:
    """Copy what a URL names into a file. Raises `RuntimeFailedError`."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as source, into.open("wb") as file:  # noqa: S310 - https or file, as the command's type says
            while block := source.read(BLOCK_BYTES):
                file.write(block)
                if file.tell() > BYTES_MAX:
                    message = f"it is larger than {BYTES_MAX:,} bytes"
                    raise RuntimeFailedError(message)
    except (urllib.error.URLError, TimeoutError) as error:
        into.unlink(missing_ok=True)
        message = f"{getattr(error, 'reason', error)}"
        raise RuntimeFailedError(message) from error
