"""Applications are fetched from archives and out of repositories, exactly as they were named."""

import io
import shutil
import subprocess
import tarfile
import zipfile
from hashlib import sha256

import pytest

from domain.software import Application
from handlers.agent.fetch import FetchFailedError
from handlers.agent.runc.fetching import Applications
from tests.hosts.machine import REAL

pytestmark = REAL


GIT = shutil.which("git") or "git"


@pytest.fixture
def applications(tmp_path):
    return Applications(tmp_path / "applications")


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "shop.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("index.html")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"shop"))
    return path


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()

    def git(*words: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        said = subprocess.run([GIT, *who, "-C", folder, *words], check=True, capture_output=True)
        return said.stdout.decode().strip()

    git("init", "-q", "-b", "main")
    for version in ("v1", "v2"):
        (folder / "version").write_text(version)
        git("add", ".")
        git("commit", "-q", "-m", version)
        git("tag", version)
    return folder


async def test_an_archive_is_unpacked_and_known_by_its_digest(applications, archive):
    named = Application(
        archive=f"file://{archive}", sha256=sha256(archive.read_bytes()).hexdigest()
    )
    fetched = await applications.fetch(named, "o1")
    assert fetched.digest == named.sha256
    assert (applications.place(named) / "index.html").read_text() == "shop"
    assert await applications.fetch(named, "o2") == fetched


async def test_a_zip_is_an_archive_too(applications, tmp_path):
    path = tmp_path / "shop.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("../../index.html", "shop")
    named = Application(archive=f"file://{path}")
    await applications.fetch(named, "o1")
    assert (applications.place(named) / "index.html").read_text() == "shop"


async def test_an_archive_that_is_another_one_is_refused(applications, archive):
    named = Application(archive=f"file://{archive}", sha256="0" * 64)
    with pytest.raises(FetchFailedError, match=r"its SHA-256 is .* not 0000"):
        await applications.fetch(named, "o1")
    assert not applications.place(named).exists()


async def test_what_is_not_there_is_said(applications, tmp_path):
    for named in (
        Application(archive=f"file://{tmp_path}/gone.tar"),
        Application(vcs=f"file://{tmp_path}/gone", ref="v1"),
    ):
        with pytest.raises(FetchFailedError, match="could not be fetched for o1"):
            await applications.fetch(named, "o1")


@pytest.mark.parametrize(("ref", "version"), [("v1", "v1"), ("main", "v2"), ("", "v2")])
async def test_a_reference_is_fetched_without_its_history(ref, version, applications, repository):
    named = Application(vcs=f"file://{repository}", ref=ref)
    fetched = await applications.fetch(named, "o1")
    place = applications.place(named)
    assert (place / "version").read_text() == version
    assert not (place / ".git").exists()
    assert len(fetched.digest) == 64
