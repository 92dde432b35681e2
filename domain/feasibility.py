"""Can every container of a host be placed elsewhere? Known before anything moves.

The answer is honest: `feasible` comes with a place for each, `infeasible` with a proof and what is
missing, and `unknown` says that neither was found in time. Each goes from its host straight to its
place, so what is feasible can be done in any order. The same question asks whether a host may
die (N-1): its containers would have to go elsewhere.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from domain.arranging import Places, Question, Search, items_of, question_of, quickly
from domain.container import Container
from domain.fleet import Fleet
from domain.lacking import Lack, lacking, remaining
from domain.messages import ContainerId, HostId
from domain.occupancy import Occupancy, occupancy

SEARCH_MAX = 100
"""Containers up to which every arrangement may be tried."""

Answer = Literal["feasible", "infeasible", "unknown"]


class Verdict(msgspec.Struct, frozen=True):
    """Whether all can go. `places` holds one for each (for as many as were placed, otherwise).

    `left` are containers for which no place was found; `missing_cloudlets`, `missing_disk_gib`
    what is proved to lack at least, or what those that are left hold.
    """

    host: HostId
    answer: Answer
    places: tuple[tuple[ContainerId, HostId], ...] = ()
    left: tuple[ContainerId, ...] = ()
    missing_cloudlets: int = 0
    missing_disk_gib: int = 0
    why: str = ""


def can_leave(
    fleet: Fleet,
    host: HostId,
    targets: Iterable[HostId] = (),
    index: Occupancy | None = None,
) -> Verdict:
    """Say whether every container of `host` can go elsewhere, to `targets` if there are any.

    `index` is the fleet's occupancy where the caller keeps one of its own.
    """
    here = [one for one in fleet.containers.values() if _home(one) == host]
    return _judge(fleet, index or occupancy(fleet), host, here, targets)


def _home(one: Container) -> HostId:
    """Return the host that a container is on, or that it is on its way to."""
    return one.target or one.host


def _judge(
    fleet: Fleet,
    index: Occupancy,
    host: HostId,
    here: Iterable[Container],
    targets: Iterable[HostId] = (),
) -> Verdict:
    items = items_of(fleet, here)
    if not items:
        return Verdict(host, "feasible")
    question = question_of(index, items, host, tuple(targets))
    lack = lacking(question)
    best = quickly(index, question)
    if lack is None and len(best) < len(items):
        found = Search(question).run() if len(items) <= SEARCH_MAX else "too much"
        if isinstance(found, dict):
            best = found
        elif found == "none":
            lack = remaining(question, best)
        else:
            return verdict(index, question, best, "unknown", remaining(question, best))
    answer: Answer = "infeasible" if lack else "feasible"
    return verdict(index, question, best, answer, lack)


def any_one_may_die(
    fleet: Fleet, after: str = "", index: Occupancy | None = None
) -> Iterator[Verdict]:
    """Give the answer for every host beyond `after`, in the order of ids (N-1)."""
    index = index or occupancy(fleet)
    here: defaultdict[HostId, list[Container]] = defaultdict(list)
    for one in fleet.containers.values():
        here[_home(one)].append(one)
    for host in sorted(fleet.hosts):
        if host > after:
            yield _judge(fleet, index, host, here[host])


def verdict(
    index: Occupancy,
    question: Question,
    places: Places,
    answer: Answer,
    lack: Lack | None,
) -> Verdict:
    items = question.items
    told = tuple(
        (items[n].container, index.hosts[int(question.bins[places[n]])])
        for n in range(len(items))
        if n in places
    )
    left = tuple(item.container for n, item in enumerate(items) if n not in places)
    lack = lack or Lack("")
    return Verdict(question.host, answer, told, left, lack.cloudlets, lack.disk, lack.why)
