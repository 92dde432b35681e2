"""A story that goes wrong is made smaller while it still goes wrong."""

from collections.abc import Callable, Iterator

from msgspec.structs import fields, replace

from restow.simulation.ending import check_end
from restow.simulation.machines import Nature
from restow.simulation.stories import Story, play, wishes_of
from restow.simulation.violation import WENT_WRONG
from restow.simulation.world import World

HARMS = tuple(field.name for field in fields(Nature))

Wrong = Callable[[Story], str]


def lived(story: Story) -> World:
    """Live a story, and look at how it ends. Raises what `WENT_WRONG` lists."""
    world = play(story)
    check_end(world)
    return world


def wrong_with(story: Story) -> str:
    """Return what is wrong with a story, with what happened before; "" if nothing is."""
    return wrong_in(lambda: lived(story))


def wrong_in(life: Callable[[], object]) -> str:
    """Return what is wrong with a life; "" if nothing is."""
    try:
        life()
    except WENT_WRONG as error:
        return f"{type(error).__name__}: {error}"
    return ""


def shrink(story: Story, wrong: Wrong = wrong_with) -> Story:
    """Return a smaller story that is wrong too: without any one more of its parts it is not."""
    smaller: Story | None = story
    while smaller is not None:
        story = smaller
        smaller = next((one for one in less(story) if wrong(one)), None)
    return story


def less(story: Story) -> Iterator[Story]:
    """Give stories with fewer wishes (many less, then one less), and with less harm."""
    left = [one for one in range(wishes_of(story.seed)) if one not in story.skipped]
    size = len(left)
    while size:
        for first in range(0, len(left), size):
            part = frozenset(left[first : first + size])
            yield replace(story, skipped=story.skipped | part)
        size //= 2
    for harm in HARMS:
        if harm not in story.without:
            yield replace(story, without=story.without | {harm})


def title(story: Story) -> str:
    """Say which story it is, and how to see it again."""
    kept = [str(one) for one in range(wishes_of(story.seed)) if one not in story.skipped]
    harms = [harm for harm in HARMS if harm not in story.without]
    return (
        f"seed {story.seed}, wishes {', '.join(kept) or 'none'} of {wishes_of(story.seed)},"
        f" harm: {', '.join(harms) or 'none'}"
    )
