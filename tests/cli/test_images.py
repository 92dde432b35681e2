"""`restow image` and `restow sweep`, on a folder of the test's own."""

import io
import tarfile

import pytest

from domain.problems import Exit


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("bin/web")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    return str(path)


async def test_an_image_is_added_listed_and_removed(restow, archive):
    said = await restow(
        "image", "add", "web:1", archive, "--command", "/bin/web", "--volume", "/data"
    )
    assert said.code == Exit.DONE, said.err
    assert said.out.startswith("added web:1, sha256:")
    listed = await restow("image", "list", "-o", "json")
    (line,) = listed.json["items"]
    assert (line["name"], line["runs"], line["volumes"]) == ("web:1", "/bin/web", ["/data"])
    assert "web:1" in (await restow("image", "list")).out
    assert (await restow("image", "remove", "web:1")).out == "removed web:1\n"
    assert (await restow("image", "list", "-o", "json")).json["items"] == []


async def test_what_is_not_there_is_not_removed(restow):
    said = await restow("image", "remove", "web:1")
    assert said.code == Exit.NOT_FOUND
    assert "restow image list" in said.err


async def test_what_is_no_archive_is_not_added(restow, tmp_path):
    (tmp_path / "text").write_text("no archive")
    said = await restow("image", "add", "web:1", str(tmp_path / "text"))
    assert said.code == Exit.USAGE
    assert "neither an archive nor an OCI layout" in said.err


async def test_a_layout_that_is_none_is_said(restow, tmp_path):
    (tmp_path / "oci-layout").write_text("{}")
    said = await restow("image", "add", "web:1", str(tmp_path))
    assert said.code == Exit.FAILED
    assert "index.json of the layout" in said.err


async def test_what_left_nothing_is_not_swept(restow):
    said = await restow("sweep", "h01", "--yes")
    assert said.code == Exit.NOT_FOUND
    assert "left nothing" in said.err
