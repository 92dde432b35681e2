"""A story told again and again, with the engine killed in another place each time."""

from collections.abc import Callable, Iterator

from restow.simulation.machines import Nature
from restow.simulation.world import World

Story = Callable[[World], None]
CALM = Nature()
ECHO = Nature(repeat=1.0, loss=0.3)
"""Every message comes twice, a third of them not at first."""
STEP = 3
"""Amid echoes the engine is killed after every third frame."""


def killed_anywhere(story: Story, whole: World) -> Iterator[tuple[World, str]]:
    """Give the story with a kill after each frame of `whole`, and where that was."""
    for frame in range(len(whole.journal)):
        world = World(1, kills=[frame])
        story(world)
        yield world, f"killed after frame {frame}"


def lost_anywhere(story: Story, whole: World) -> Iterator[tuple[World, str]]:
    """Give the story with a kill before each frame of `whole` is stored, and where that was."""
    for frame in range(len(whole.journal)):
        world = World(1, lost=[frame])
        story(world)
        yield world, f"lost frame {frame}"


def killed_amid_echoes(story: Story, whole: World) -> Iterator[tuple[World, str]]:
    """Give the story amid repeated and lost messages, killed and with a frame lost, and where."""
    for frame in range(0, len(whole.journal), STEP):
        world = World(1, ECHO, kills=[frame], lost=[frame + 1])
        story(world)
        yield world, f"killed after frame {frame}"
