"""Watching an operation or a migration until it is over; to stop watching does not stop it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from domain.messages import Code, Refusal
from domain.nouns import story_by
from domain.problems import Exit, Problem, problem
from restow.cli.exits import EndedError, ProblemError
from restow.cli.output import on_terminal, out, say
from restow.cli.progress import Live, Plain, Progress
from restow.talk import Conversation

POLL_S = 0.2
FAULT_S = 15.0
"""How long the read side may be away before watching gives up."""

Story = Mapping[str, Any]


async def watch(region: Conversation, name: str, position: int, timeout_ms: int) -> None:
    """Show how `name` (`op3`, `mv5`) goes on until it is over, which is said on stdout.

    `position` is how new the first look must be. Raises `EndedError` where it did not do what
    was asked, `ProblemError` where it took too long or there is no such thing.
    """
    with Live() if on_terminal() else Plain() as progress:
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                story = await _until_over(region, name, position, progress)
        except TimeoutError:
            raise ProblemError(problem(too_long(name, timeout_ms))) from None
        except asyncio.CancelledError:
            say(f"{name} continues. {ways_on(name)}")
            raise
    out(summary(story))
    if not is_good(story):
        raise EndedError(Exit.FAILED)


async def _until_over(region: Conversation, name: str, position: int, progress: Progress) -> Story:
    clock = asyncio.get_running_loop().time
    heard = clock()
    while True:
        story = await region.read(query(name), {noun(name): name, "min_position": position})
        if isinstance(story, Problem):
            passing = story.status in {503, 504} and clock() - heard < FAULT_S
            if not passing:
                raise ProblemError(story)
        else:
            heard = clock()
            progress.show(story)
            if is_over(story):
                return story
        await asyncio.sleep(POLL_S)


def noun(name: str) -> str:
    """Return what kind of story a name names: `migration` for mv5, `evacuation` for ev1."""
    return story_by(name) or "operation"


def query(name: str) -> str:
    """Return the question that is asked of the read side."""
    return f"{noun(name)}.show"


def is_over(story: Story) -> bool:
    return bool(story["finished_at"])


def is_good(story: Story) -> bool:
    """Tell whether it did what was asked."""
    return (story["outcome"] if "outcome" in story else story["state"]) in {"done", "completed"}


def too_long(name: str, timeout_ms: int) -> Refusal:
    return Refusal(
        Code.WAIT_TIMEOUT,
        f"{name} was not over after {timeout_ms / 1_000:g} s; it continues. {ways_on(name)}",
        "",
        {"timeout_ms": timeout_ms},
    )


def ways_on(name: str) -> str:
    """Return what can be typed next about something that goes on."""
    if name.startswith("ev"):
        return f"restow evacuation watch {name} | restow evacuation stop {name}"
    if name.startswith("rb"):
        return f"restow rebalance watch {name} | restow rebalance stop {name}"
    if name.startswith("rc"):
        return f"restow recovery watch {name}"
    if name.startswith("gr"):
        return f"restow op watch {name} | restow growth cancel {name}"
    cancel = "" if name.startswith("mv") else f" | restow op cancel {name}"
    return f"restow op watch {name}{cancel}"


def summary(story: Story) -> str:
    """Return how it ended, in one line."""
    took_s = (story["finished_at"] - story["requested_at"]) / 1_000
    detail = f": {story['detail']}" if story["detail"] else ""
    if "way" in story:
        limits = f"{story['container']} to {story['reserved']}..{story['limit']} cloudlets"
        count = f"{len(story['migrations'])} moves"
        return f"{story['id']} {story['state']}: {limits}, {count}, {took_s:.1f} s{detail}"
    if "container" in story:
        times = f"frozen {story['freeze_ms']} ms, {story['total_ms']} ms in all"
        route = f"{story['container']} {story['source']} -> {story['target']}"
        return f"{story['id']} {story['state']}: {route}, {times}{detail}"
    if "skew_before" in story:
        return evened(story, f"{took_s:.1f} s{detail}")
    if "restarted" in story:
        counts = f"{story['restarted']} restarted, {story['left']} left"
        return (
            f"{story['id']} {story['outcome']}: {what_of(story)}, {counts}, {took_s:.1f} s{detail}"
        )
    if "containers" in story:
        counts = f"{story['moved']} moved, {story['failed']} failed, {story['left']} left"
        lack = f", {story['missing_cloudlets']} cloudlets missing" if story["failed"] else ""
        return (
            f"{story['id']} {story['outcome']}: {what_of(story)}, {counts}{lack},"
            f" {took_s:.1f} s{detail}"
        )
    counts = f"{story['done']} done, {story['failed']} failed, {story['skipped']} skipped"
    where = f"{story['kind']} {story['environment']}/{story['layer']}"
    return f"{story['id']} {story['outcome']}: {where}, {counts}, {took_s:.1f} s{detail}"


def evened(story: Story, rest: str) -> str:
    """Return how a rebalance ended: what moved, and how even it was and is."""
    counts = f"{story['moved']} moved, {story['skipped']} skipped, {story['failed']} failed"
    uneven = f"uneven layers {story['uneven_before']} -> {story['uneven_after']}"
    skew = f"skew {story['skew_before']} -> {story['skew_after']}"
    before = f"{story['least_before']}..{story['most_before']} %"
    load = f"load {before} -> {story['least_after']}..{story['most_after']} %"
    return f"{story['id']} {story['outcome']}: {counts}, {uneven}, {skew}, {load}, {rest}"


def what_of(story: Story) -> str:
    return f"{story['kind']} {story['host']}"
