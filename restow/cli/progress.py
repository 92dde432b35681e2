"""How progress looks: lines that stay where nobody watches, a table that moves on a terminal.

Both go to stderr.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from restow.cli.output import NOTHING, say

Story = Mapping[str, Any]
Row = tuple[str, str, str]
"""What it is about, where it is, and what there is to say."""

STYLES = {
    "done": "green",
    "completed": "green",
    "moved": "green",
    "restarted": "green",
    "failed": "red",
    "skipped": "yellow",
}


class Progress(Protocol):
    """Shows how a story goes on."""

    def show(self, story: Story) -> None:
        """Show the story as it is now."""
        ...


def rows(story: Story) -> list[Row]:
    """Return a row for each container of a story, move of a growth, or phase of a migration."""
    if "way" in story:
        return [_move(story, number) for number in range(len(story["moves"]))]
    if "container" in story:
        return [("", phase["phase"], f"{phase['after_ms']} ms") for phase in story["phases"]]
    if "containers" in story:
        return [
            (one["container"], f"{_arrow(one)}: {one['state']}", one["detail"])
            for one in story["containers"]
        ]
    return [_row(step) for step in story["steps"]]


def _arrow(one: Mapping[str, Any]) -> str:
    return f"-> {one['target'] or NOTHING}"


def _move(story: Story, number: int) -> Row:
    """Return the row of one move of a plan: those before `todo` have begun."""
    move = story["moves"][number]
    begun = number < len(story["moves"]) - story["todo"]
    route = f"{move['source']} -> {move['target']}"
    state = "begun" if begun else "to come"
    return (move["container"], f"{route}: {state}", f"{move['cloudlets']} cloudlets")


def _row(step: Mapping[str, Any]) -> Row:
    state = step["outcome"] or step["stage"] or "to come"
    return (step["container"], f"{step['kind']}: {state}", step["detail"])


def headline(story: Story) -> str:
    """Return what is going on, in one line."""
    if "way" in story:
        detail = f": {story['detail']}" if story["detail"] else ""
        limits = f"{story['reserved']}..{story['limit']} cloudlets"
        return f"{story['id']} {story['state']}: {story['container']} to {limits}{detail}"
    if "container" in story:
        target = story["target"] or NOTHING
        waits = f", waits for {story['waits_for']}" if story["waits_for"] else ""
        route = f"{story['container']} {story['source']} -> {target}"
        return f"{story['id']} {story['state']}: {route}{waits}"
    if "containers" in story:
        state = story["outcome"] or story["state"]
        waits = f", waits: {story['why']}" if story["why"] else ""
        verb = "restarted" if "restarted" in story else "moved"
        count = f"{story[verb]} of {len(story['containers'])} {verb}"
        what = "rebalance" if "skew_before" in story else f"{story['kind']} {story['host']}"
        return f"{story['id']} {state}: {what}, {count}{waits}"
    state = "paused" if story["paused"] else story["outcome"] or story["state"]
    where = f"{story['kind']} {story['environment']}/{story['layer']}"
    counts = f"{story['done']} of {len(story['steps'])} done"
    detail = f": {story['detail']}" if story["detail"] else ""
    return f"{story['id']} {state}: {where}, {counts}{detail}"


class Plain:
    """A line for everything that changed; for logs and pipes."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, story: Story) -> None:
        """Say what was not said before."""
        lines = [headline(story)]
        lines += [
            "  " + "  ".join(filter(None, row)) for row in rows(story) if "to come" not in row[1]
        ]
        for line in lines:
            if line not in self._said:
                self._said.add(line)
                say(line)


class Live:
    """A table that is drawn anew; it stays on the terminal at the end."""

    def __init__(self) -> None:
        self._live = RichLive(console=Console(stderr=True), refresh_per_second=10)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, story: Story) -> None:
        """Draw the story as it is now."""
        table = Table.grid(padding=(0, 2))
        for name, state, detail in rows(story):
            outcome = state.rpartition(" ")[2]
            table.add_row(Text(name), Text(state, STYLES.get(outcome, "")), Text(detail, "dim"))
        whole = Table.grid()
        whole.add_row(Text(headline(story), "bold"))
        whole.add_row(table)
        self._live.update(whole)
