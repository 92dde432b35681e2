"""What is to be of each container on a host, written down before anything is done about it."""

import msgspec
from msgspec.structs import replace

from domain.messages import ContainerId
from handlers.agent.runc.hardening import Profile
from handlers.agent.runc.places import Home, Places
from handlers.agent.runtime import Spec


class Life(msgspec.Struct, frozen=True):
    """One container as it is to be.

    `wanted`: it is to run. `mark` names the order that wanted it so. `digest` is the image that it
    was made of, `users` the first of its users outside. `restarts` were ordered, and are counted
    beside those after a crash. `arriving`: a copy that is held, and is not ours to run yet.
    """

    spec: Spec
    mark: str
    digest: str
    users: int
    profile: Profile
    wanted: bool = True
    restarts: int = 0
    arriving: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Life)


class Lives:
    """The lives of a host, in memory and in a file each."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lives: dict[ContainerId, Life] = {}
        for home in places.homes():
            if home.life.is_file():
                self._lives[home.container] = _decoder.decode(home.life.read_bytes())

    def all(self) -> tuple[Life, ...]:
        return tuple(self._lives.values())

    def find(self, container: ContainerId) -> Life | None:
        return self._lives.get(container)

    def put(self, life: Life) -> Life:
        """Write it down, whole or not at all."""
        home = self._places.home(life.spec.container)
        fresh = home.life.with_suffix(".new")
        fresh.write_bytes(_encoder.encode(life))
        fresh.replace(home.life)
        self._lives[home.container] = life
        return life

    def want(self, life: Life, *, wanted: bool) -> Life:
        """Write down whether it is to run."""
        return life if life.wanted == wanted else self.put(replace(life, wanted=wanted))

    def forget(self, home: Home) -> None:
        home.life.unlink(missing_ok=True)
        self._lives.pop(home.container, None)

    @property
    def users(self) -> frozenset[int]:
        """Return the users that are taken, by the first of each range."""
        return frozenset(life.users for life in self._lives.values())
