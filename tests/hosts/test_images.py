"""Images come to a host whole, by digest, and lead nothing astray; nothing runs here."""

import io
import os
import stat
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from handlers.agent.runc.adding import add_archive, add_layout
from handlers.agent.runc.images import Config, Images
from handlers.agent.runtime import RuntimeFailedError
from tests.hosts.machine import REAL

pytestmark = REAL  # overlays are told by attributes that only root may set


@pytest.fixture
def images(tmp_path):
    return Images(tmp_path / "images")


def packed(path: Path, files: Mapping[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


class Layout:
    """An OCI layout in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs" / "sha256"
        self.blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return f"sha256:{digest}"

    def manifest(self, config: object, *layers: Path) -> str:
        told = {
            "config": {"digest": self.blob(msgspec.json.encode(config))},
            "layers": [{"digest": self.blob(layer.read_bytes())} for layer in layers],
        }
        return self.blob(msgspec.json.encode(told))

    def index(self, refs: Mapping[str, str]) -> Path:
        name = "org.opencontainers.image.ref.name"
        told = [{"digest": digest, "annotations": {name: ref}} for ref, digest in refs.items()]
        (self.folder / "index.json").write_bytes(msgspec.json.encode({"manifests": told}))
        return self.folder


SAYS = {
    "config": {
        "Entrypoint": ["/bin/web"],
        "Cmd": ["--port", "80"],
        "Env": ["MODE=fast", "EMPTY="],
        "WorkingDir": "/srv",
        "User": "101:102",
        "Labels": {"restow.health": "tcp:80"},
        "Volumes": {"/var/lib/web": {}},
    }
}


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path / "layout")
    below = packed(tmp_path / "1.tar.gz", {"etc/old": "1", "etc/kept": "1", "var/all/x": "1"})
    above = packed(
        tmp_path / "2.tar.gz", {"etc/.wh.old": "", "var/all/.wh..wh..opq": "", "new": "2"}
    )
    made.index({"v1": made.manifest(SAYS, below), "v2": made.manifest(SAYS, below, above)})
    return made


async def test_an_archive_is_had_by_name_and_by_digest(images, tmp_path):
    config = Config(command=("/bin/web",))
    digest = await add_archive(images, "web:1", packed(tmp_path / "a", {"bin/web": "x"}), config)
    named = images.find("web:1")
    assert named == images.find(f"web:1@sha256:{digest}") == images.find(f"other@sha256:{digest}")
    assert named.config == config
    (layer,) = named.layers
    assert (images.layer(layer) / "bin" / "web").read_text() == "x"
    assert images.names() == {"web:1": f"sha256:{digest}"}


async def test_the_same_archive_with_another_command_is_another_image(images, tmp_path):
    archive = packed(tmp_path / "a", {"bin/web": "x"})
    one = await add_archive(images, "web:1", archive, Config(command=("/bin/web",)))
    two = await add_archive(images, "web:2", archive, Config(command=("/bin/web", "-v")))
    assert one != two
    assert images.find("web:1").layers == images.find("web:2").layers


async def test_a_layout_says_how_it_is_started_and_its_layers_hide_what_they_should(images, layout):
    await add_layout(images, "web:2", layout.folder, "v2")
    bundle = images.find("web:2")
    assert bundle.config == Config(
        entrypoint=("/bin/web",),
        command=("--port", "80"),
        variables={"MODE": "fast", "EMPTY": ""},
        folder="/srv",
        user="101:102",
        labels={"restow.health": "tcp:80"},
        volumes=("/var/lib/web",),
    )
    above = images.layer(bundle.layers[1])
    gone = (above / "etc" / "old").stat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(above / "var" / "all", "trusted.overlay.opaque") == b"y"
    assert list(above.rglob(".wh.*")) == []


async def test_a_layout_may_be_packed(images, layout, tmp_path):
    path = tmp_path / "layout.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(layout.folder, ".")
    digest = await add_layout(images, "web:1", path, "v1")
    assert len(images.find(f"web:1@sha256:{digest}").layers) == 1


@pytest.mark.parametrize(("ref", "says"), [("v3", "0 images named 'v3' of 2")])
async def test_what_a_layout_does_not_have_is_said(ref, says, images, layout):
    with pytest.raises(RuntimeFailedError, match=says):
        await add_layout(images, "web:1", layout.folder, ref)


async def test_a_damaged_blob_is_not_unpacked(images, layout):
    for blob in layout.blobs.iterdir():
        if blob.read_bytes()[:2] == b"\x1f\x8b":
            blob.write_bytes(blob.read_bytes() + b"x")
    with pytest.raises(RuntimeFailedError, match="damaged"):
        await add_layout(images, "web:1", layout.folder, "v1")
    assert images.names() == {}


async def test_a_file_that_is_no_layout_is_said(images, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(RuntimeFailedError, match=r"index\.json of the layout cannot be read"):
        await add_layout(images, "web:1", folder)


async def test_an_archive_that_leads_outside_stays_inside(images, tmp_path):
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        entry = tarfile.TarInfo("out/stolen")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(RuntimeFailedError, match="tar"):
        await add_archive(images, "evil:1", path, Config())
    assert not (tmp_path / "stolen").exists()
    assert images.names() == {}


async def test_a_removed_image_takes_along_what_nobody_else_has(images, layout, tmp_path):
    await add_layout(images, "web:1", layout.folder, "v1")
    await add_layout(images, "web:2", layout.folder, "v2")
    kept, gone = images.find("web:1"), images.find("web:2")
    assert images.remove("web:2")
    assert not images.remove("web:2")
    assert [images.layer(one).is_dir() for one in gone.layers] == [True, False]
    assert images.find("web:1") == kept
    assert images.remove("web:1", used=frozenset({kept.digest}))
    assert images.find(f"web@{kept.digest}") == kept
    with pytest.raises(RuntimeFailedError, match="restow image add web:1 FILE"):
        images.find("web:1")
