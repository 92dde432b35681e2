"""Replay of a history into a region, from the bytes of frames, hash chain included."""

import time

from benchmarks.figures import Figure
from benchmarks.fleets import frames_of, history
from domain.region import Region
from domain.wire import chain, count_events, decode_frame

EVENTS = 1_000_000
GOAL = 200_000


def run() -> list[Figure]:
    """Measure frames of 1 to 100 events; the limit beside it is decoding alone."""
    commits = history(EVENTS)
    figures: list[Figure] = []
    for size in (1, 20, 100):
        frames = frames_of(commits, size)
        total = count_events(commits)
        rate = total / replayed(frames)
        bare = total / decoded(frames)
        goal = size == 20  # noqa: PLR2004 - the size the goal is set for
        figures.append(
            Figure(
                f"replay of {total:,} events into a region, frames of {size} or more",
                f"{rate:,.0f} events/s",
                f"decoding alone {bare:,.0f}/s ({rate / bare:.0%})",
                f">= {GOAL:,}/s" if goal else "",
                rate >= GOAL if goal else None,
            )
        )
    return figures


def replayed(frames: list[bytes]) -> float:
    region = Region()
    begun = time.perf_counter()
    for data in frames:
        chain(data)
        region.absorb(decode_frame(data))
    return time.perf_counter() - begun


def decoded(frames: list[bytes]) -> float:
    begun = time.perf_counter()
    for data in frames:
        decode_frame(data)
    return time.perf_counter() - begun
