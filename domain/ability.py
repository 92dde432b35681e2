"""How a host can move containers live, as its agent proved when it began, or why it cannot.

What nobody has proven counts as able: such a host is asked, and says so itself.
"""

from typing import Literal

from domain.messages import Event, HostId

Live = Literal["stop_copy", "post_copy", "pre_copy", "none"]


class HostProved(Event, frozen=True, gc=False, tag="host.proved"):
    """Its agent tried to move a container live. `why` says why that is `none`."""

    host: HostId
    live: Live
    why: str = ""
