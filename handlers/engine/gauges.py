"""What is remembered of usage for the triggers of layers: the last samples, and since when.

All of it may be lost: after a crash or a takeover every window begins anew, so that a trigger
fires later by no more than its window. Only a firing is an ask.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import msgspec

from domain.agent import Sample, Usage
from domain.environment import Layer, LayerKey
from domain.fleet import Fleet
from domain.horizontal import LOOK_EVERY_MS, SILENT_MS, Member, Watch, look_at
from domain.messages import ContainerId, Instant, TriggerId
from domain.scaling import staying
from domain.trigger import FireTrigger
from domain.triggers import may_fire

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def of_those_there(remembered: dict[K, V], there: Mapping[K, object]) -> dict[K, V]:
    """Forget what is no more. Only then can more be remembered than there is."""
    if len(remembered) <= len(there):
        return remembered
    return {key: one for key, one in remembered.items() if key in there}


class Heard(msgspec.Struct, frozen=True, gc=False):
    """The last sample of a container, and when it came."""

    at: Instant
    sample: Sample


class Gauge:
    """What is remembered of one layer."""

    def __init__(self) -> None:
        self.heard: dict[ContainerId, Heard] = {}
        self.watches: dict[TriggerId, Watch] = {}
        self.looked = Instant(0)


class Gauges:
    """Says when triggers are to fire. It is told of all usage, and of nothing else."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._gauges: dict[LayerKey, Gauge] = {}

    def __len__(self) -> int:
        """Return of how many layers something is remembered."""
        return len(self._gauges)

    def hear(self, usage: Usage, now: Instant) -> tuple[FireTrigger, ...]:
        """Take in what the containers of a host use; return what is to be fired because of it."""
        touched: dict[LayerKey, Layer] = {}
        for sample in usage.containers:
            container = self._fleet.containers.get(sample.container)
            if container is None or container.host != usage.host:
                continue
            layer = self._fleet.layers[container.environment, container.layer]
            if layer.triggers:
                touched[layer.key] = layer
                gauge = self._gauges.setdefault(layer.key, Gauge())
                gauge.heard[container.id] = Heard(now, sample)
        self._gauges = of_those_there(self._gauges, self._fleet.layers)
        fired = (self._look(layer, now) for layer in touched.values())
        return tuple(firing for firing in fired if firing is not None)

    def _look(self, layer: Layer, now: Instant) -> FireTrigger | None:
        """Look at a layer, unless it was looked at just now; forget it if no trigger is on."""
        gauge = self._gauges[layer.key]
        if now - gauge.looked < LOOK_EVERY_MS:
            return None
        known = (self._fleet.triggers[name] for name in layer.triggers)
        triggers = [one for one in known if one.enabled]
        if not triggers:
            del self._gauges[layer.key]
            return None
        gauge.looked = now
        gauge.heard = {
            name: heard
            for name, heard in gauge.heard.items()
            if name in self._fleet.containers and now - heard.at < SILENT_MS
        }
        members = [self._member(gauge, name) for name in layer.containers]
        count = len(staying(self._fleet, layer))
        firing, gauge.watches = look_at(triggers, gauge.watches, members, count, now)
        if firing is None or not may_fire(self._fleet, firing, now):
            return None
        return firing

    def _member(self, gauge: Gauge, name: ContainerId) -> Member:
        heard = gauge.heard.get(name)
        limit = self._fleet.containers[name].limit
        return Member(limit, heard.sample if heard else None)
