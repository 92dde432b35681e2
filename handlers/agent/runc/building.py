"""Makes what a container is started from: its disk, its root, its files, its configuration.

Everything may be made again over what is there: volumes and what was deployed stay.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.messages import number_of
from handlers.agent.runc import disks, hardening
from handlers.agent.runc.cgroups import Cgroups
from handlers.agent.runc.charge import Charge
from handlers.agent.runc.checks import check_of
from handlers.agent.runc.fetching import Applications
from handlers.agent.runc.hardening import Profile, Shut
from handlers.agent.runc.images import Bundle, Images
from handlers.agent.runc.lives import Life
from handlers.agent.runc.places import Home, Places, point
from handlers.agent.runc.tools import program
from handlers.agent.runc.wires import Wires
from handlers.agent.runtime import RuntimeFailedError, Spec


class Builder:
    """Builds containers on one host. `core_mhz`: how fast a processor of it is."""

    def __init__(  # noqa: PLR0913 - what a host is made of
        self,
        places: Places,
        images: Images,
        applications: Applications,
        cgroups: Cgroups,
        core_mhz: int,
        *,
        wires: Wires,
    ) -> None:
        self._places = places
        self.wires = wires
        self._images = images
        self._applications = applications
        self._cgroups = cgroups
        self._core_mhz = core_mhz

    def plan(self, spec: Spec, mark: str, usual: Profile, taken: frozenset[int]) -> Life:
        """Return what is to be, once all that can be refused has been looked at.

        Raises `RuntimeFailedError`; nothing has been touched then.
        """
        bundle = self._images.find(spec.image)
        check_of(spec, bundle.config)
        hardening.volumes(spec, bundle.config)
        disks.fits(self._places, spec.disk_gib)
        profile = hardening.profile_of(spec, usual)
        users = hardening.users_for(number_of(spec.container), taken)
        life = Life(spec, mark, bundle.digest, users, profile)
        self._configuration(life, bundle)
        return life

    def build(self, life: Life) -> None:
        """Have disk, root and files as `life` says. Raises `RuntimeFailedError`."""
        home = self._places.home(life.spec.container)
        home.make()
        bundle = self._bundle(life)
        if not home.image.is_file():
            disks.make(home, life.spec.disk_gib)
        self.mount(life)
        self._fill(life, bundle)
        if life.profile is Profile.MOVABLE:
            spec = life.spec
            self.wires.attach(home, spec.address, spec.network, held=life.arriving)
        (home.run / "config.json").write_text(json.dumps(self._configuration(life, bundle)))
        self.charge(life).write(home.run / "charge.json")

    def renew(self, life: Life) -> None:
        """Take the root away, with all that was mounted into it; the disk and its volumes stay."""
        home = self._places.home(life.spec.container)
        disks.unmount(home)
        self.mount(life, fresh=True)

    def mount(self, life: Life, *, fresh: bool = False) -> None:
        """Have disk and root mounted."""
        layers = [self._images.layer(name) for name in self._bundle(life).layers]
        home = self._places.home(life.spec.container)
        disks.mount(home, layers, owner_of(life), fresh=fresh)

    def charge(self, life: Life) -> Charge:
        """Return what the shim of a container is charged with."""
        home = self._places.home(life.spec.container)
        return Charge(
            runc=program("runc"),
            state=str(self._places.state),
            name=life.spec.container,
            bundle=str(home.run),
            log=str(home.log),
            freezer=str(self._cgroups.freezer(self.cgroup(life))),
            switch=str(self._places.data / "switch"),
            keep=life.spec.keep,
            restarts=life.restarts,
            check=check_of(life.spec, self._bundle(life).config),
            masked=hardening.MASKED,
        )

    def cgroup(self, life: Life) -> str:
        return f"{self._places.cgroup}/{life.spec.container}"

    def limits(self, spec: Spec) -> Mapping[str, Any]:
        """Return the limits of a container of this size, as OCI has them."""
        return self._cgroups.limits(spec.cloudlets, spec.limit, self._core_mhz)

    def _bundle(self, life: Life) -> Bundle:
        return self._images.find(f"{life.spec.image.partition('@')[0]}@{life.digest}")

    def _configuration(self, life: Life, bundle: Bundle) -> Mapping[str, Any]:
        home = self._places.home(life.spec.container)
        movable = life.profile is Profile.MOVABLE
        shut = Shut(
            life.profile,
            life.users,
            self.cgroup(life),
            self.limits(life.spec),
            network=str(self.wires.path(home)) if movable else "",
            criu=str(home.run / "criu.conf") if movable else "",
        )
        return hardening.configuration(life.spec, bundle.config, home, shut)

    def _fill(self, life: Life, bundle: Bundle) -> None:
        """Have volumes, application and files on the disk, and a place to mount each."""
        spec, owner = life.spec, owner_of(life)
        home = self._places.home(spec.container)
        user = owner + int(bundle.config.user.partition(":")[0])
        for path in hardening.volumes(spec, bundle.config):
            volume = home.volume(path)
            if not volume.is_dir():
                volume.mkdir(mode=0o755)
                os.chown(volume, user, user)
        if spec.application is not None:
            _copy(self._applications.place(spec.application), home.application)
        _write(home, "hostname", f"{spec.name}\n")
        _write(home, "hosts", f"127.0.0.1 localhost\n{spec.address} {spec.name}\n")
        _write(home, "resolv.conf", "")
        for path, is_file in hardening.points(spec, bundle.config):
            point(home.root, path, file=is_file)


def owner_of(life: Life) -> int:
    """Return the user outside that is root inside."""
    return life.users if life.profile is Profile.ISOLATED else 0


def _write(home: Home, name: str, text: str) -> None:
    path = home.etc / name
    path.write_text(text)
    path.chmod(0o644)


def _copy(source: Path, target: Path) -> None:
    """Have the application of `source` in `target`, and nothing else there."""
    if not source.is_dir():
        message = f"the application is not on this host: {source.name} is missing"
        raise RuntimeFailedError(message)
    for inner in target.iterdir():
        if inner.is_dir() and not inner.is_symlink():
            shutil.rmtree(inner)
        else:
            inner.unlink()
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
