"""Making room as it is read: what a search found, and how far each growth is."""

from collections.abc import Iterator

from msgspec.structs import replace

from domain.fleet import Fleet
from domain.ground import Moves, Need, NoRoom
from domain.growth import Growth
from domain.messages import GrowthId, HostId, Instant, Refusal
from domain.moves import LiveMove
from domain.room import make_room
from projections import questions as q
from projections.answers import is_older, unknown
from projections.lines import Line
from projections.reads import Reads


class MoveLine(Line, frozen=True, gc=False):
    """A live move that makes room, or would."""

    container: str
    source: str
    target: str
    cloudlets: int
    disk_gib: int


class RoomLine(Line, frozen=True, gc=False):
    """How `cloudlets` and `disk_gib` would become free on a host: by `moves`, in this order.

    `moved` are the cloudlets that move; `certain`: no other chain moves fewer. Where `possible`
    is false, so many cloudlets are `missing`, and `certain` says that this is proven.
    """

    host: str
    cloudlets: int
    disk_gib: int
    free: int
    possible: bool
    moves: tuple[MoveLine, ...] = ()
    moved: int = 0
    missing: int = 0
    why: str = ""
    certain: bool = False


class GrowthLine(Line, frozen=True, gc=False):
    """A growth that did not fit: `room` is made on `host`, or the container is to `move` from it.

    `host` is "" as long as nothing is planned; `held` are the cloudlets that the container is to
    hold because it uses so much, 0 where its limits were asked for. `moves` are those of the latest
    plan, `todo` those of them that have not begun, `moved` the cloudlets that they take along;
    `migrations` are all that were asked for, of older plans too. Where it was refused for want of
    room, so many cloudlets are `missing`, `proven` or not.
    """

    id: str
    container: str
    host: str
    state: str
    detail: str
    reserved: int
    limit: int
    held: int
    way: str
    moves: tuple[MoveLine, ...]
    todo: int
    moved: int
    plans: int
    migrations: tuple[str, ...]
    operation: str
    missing: int
    proven: bool
    requested_at: Instant
    until: Instant
    finished_at: Instant
    version: int


def move_line(move: LiveMove) -> MoveLine:
    return MoveLine(move.container, move.source, move.target, move.cloudlets, move.disk_gib)


def room_line(fleet: Fleet, need: Need, found: Moves | NoRoom) -> RoomLine:
    line = RoomLine(
        host=need.host,
        cloudlets=need.cloudlets,
        disk_gib=need.disk_gib,
        free=fleet.hosts[need.host].free,
        possible=isinstance(found, Moves),
    )
    if isinstance(found, NoRoom):
        return replace(line, missing=found.missing, why=found.why, certain=found.proven)
    moves = tuple(move_line(move) for move in found.moves)
    return replace(line, moves=moves, moved=found.cloudlets, certain=found.cheapest)


def growth_line(growth: Growth, version: int) -> GrowthLine:
    return GrowthLine(
        id=growth.id,
        container=growth.container,
        host=growth.host,
        state=growth.state.value,
        detail=growth.detail,
        reserved=growth.reserved,
        limit=growth.limit,
        held=growth.held,
        way=growth.way,
        moves=tuple(move_line(move) for move in growth.moves),
        todo=len(growth.todo),
        moved=growth.cloudlets,
        plans=growth.plans,
        migrations=growth.migrations,
        operation=growth.operation or "",
        missing=growth.missing,
        proven=growth.proven,
        requested_at=growth.requested_at,
        until=growth.until,
        finished_at=growth.finished_at,
        version=version,
    )


def room(reads: Reads, ask: q.HostRoom) -> RoomLine | Refusal:
    """Search the fleet as it is read; what is decided later may find it changed."""
    found = reads.fleet.hosts.get(HostId(ask.host))
    if found is None:
        return unknown("host", ask.host, reads.fleet.hosts)
    need = Need(found.id, ask.cloudlets, ask.disk_gib)
    return room_line(reads.fleet, need, make_room(reads.fleet, need, reads.occupancy()))


def growths(reads: Reads, ask: q.GrowthList) -> Iterator[GrowthLine]:
    for one in reversed(reads.fleet.growths.values()):
        if (
            ask.container in (None, one.container)
            and ask.state in (None, one.state)
            and is_older(one.id, ask.after)
        ):
            yield growth_line(one, reads.version("growth", one.id))


def growth(reads: Reads, ask: q.GrowthShow) -> GrowthLine | Refusal:
    found = reads.fleet.growths.get(GrowthId(ask.growth))
    if found is None:
        return unknown("growth", ask.growth, reversed(reads.fleet.growths))
    return growth_line(found, reads.version("growth", found.id))
