"""What lacks: proofs that not all containers can leave a host, whatever the arrangement.

Each proof is a reason that holds for every arrangement, with the least that is missing.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from domain.arranging import Question


class Lack(msgspec.Struct, frozen=True):
    """A proof that not all can go, with the least that is missing."""

    why: str
    cloudlets: int = 0
    disk: int = 0


def lacking(question: Question) -> Lack | None:
    """Return a proof that not all can go, if one of these finds one."""
    return alone(question) or together(question) or too_large(question)


def alone(question: Question) -> Lack | None:
    """One container fits no host, even if it were the only one to go."""
    for number, item in enumerate(question.items):
        if question.fits(number).any():
            continue
        where = question.open[number]
        free = int(question.free[where].max(initial=0))
        disk = int(question.disk[where].max(initial=0))
        why = f"{item.container} ({item.cloudlets} cloudlets, {item.disk} GiB) fits no host"
        if not where.any():
            return Lack(f"{item.container} has no host apart from its group", item.cloudlets)
        return Lack(why, max(item.cloudlets - free, 0), max(item.disk - disk, 0))
    return None


def together(question: Question) -> Lack | None:
    """All of them need more than all hosts have."""
    cloudlets = sum(item.cloudlets for item in question.items)
    disk = sum(item.disk for item in question.items)
    free = int(np.maximum(question.free, 0).sum())
    room = int(np.maximum(question.disk, 0).sum())
    if cloudlets <= free and disk <= room:
        return None
    why = f"{cloudlets} cloudlets and {disk} GiB must go; {free} and {room} are free elsewhere"
    return Lack(why, max(cloudlets - free, 0), max(disk - room, 0))


def too_large(question: Question) -> Lack | None:
    """More containers of a size and above must go than there are slots of that size."""
    sizes = [item.cloudlets for item in question.items]
    for size in sorted(set(sizes), reverse=True):
        need = sum(one >= size for one in sizes)
        slots = int((np.maximum(question.free, 0) // size).sum())
        if need > slots:
            why = f"{need} containers of {size} cloudlets or more must go, {slots} fit elsewhere"
            return Lack(why, (need - slots) * size)
    return None


def remaining(question: Question, places: Mapping[int, int]) -> Lack:
    """Return what those that have no place hold."""
    left = [item for n, item in enumerate(question.items) if n not in places]
    return Lack(
        f"no place was found for {len(left)} of {len(question.items)} containers",
        sum(item.cloudlets for item in left),
        sum(item.disk for item in left),
    )
