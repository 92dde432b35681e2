"""Commands as people type them: the short line where there is one, else `restow command send`."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

Body = Mapping[str, Any]


def typed(name: str, body: Body) -> str:
    """Return the line that sends just this command."""
    spell, members = SHORT.get(name, (None, ()))
    if spell is None or not body.keys() <= set(members):
        json = msgspec.json.encode(body).decode()
        return shlex.join(("restow", "command", "send", name, json))
    return shlex.join(("restow", *spell(body)))


def _layer(*words: str) -> Callable[[Body], Sequence[str]]:
    """Return how a command is typed that is about a layer, its other members in order."""

    def spell(body: Body) -> Sequence[str]:
        rest = [str(body[key]) for key in body if key not in {"environment", "layer"}]
        return ("layer", words[0], f"{body['environment']}/{body['layer']}", *rest, *words[1:])

    return spell


def _limits(body: Body) -> Sequence[str]:
    flags = ("--reserved", str(body["reserved"]), "--limit", str(body["limit"]))
    rest = ("--delay", f"{body['delay_s']}s") if "delay_s" in body else ()
    return ("layer", "limits", f"{body['environment']}/{body['layer']}", *flags, *rest)


def _size(body: Body) -> Sequence[str]:
    flags = ("--reserved", str(body["reserved"]), "--limit", str(body["limit"]))
    return ("ct", "scale", body["container"], *flags)


def _migrate(body: Body) -> Sequence[str]:
    return ("ct", "migrate", body["container"], "--to", body["target"])


def _named(noun: str, verb: str, member: str, *flags: str) -> Callable[[Body], Sequence[str]]:
    """Return how a command is typed that names one thing."""

    def spell(body: Body) -> Sequence[str]:
        return (noun, verb, str(body[member]), *flags)

    return spell


Spelling = tuple[Callable[[Body], Sequence[str]], Sequence[str]]
SHORT: Mapping[str, Spelling] = {
    "layer.scale": (_layer("scale"), ("environment", "layer", "count")),
    "layer.redeploy": (_layer("redeploy"), ("environment", "layer", "image")),
    "layer.remove": (_layer("remove", "--yes"), ("environment", "layer")),
    "layer.limits": (_limits, ("environment", "layer", "reserved", "limit", "delay_s")),
    "container.scale": (_size, ("container", "reserved", "limit")),
    "container.migrate": (_migrate, ("container", "target")),
    "environment.remove": (_named("env", "remove", "environment", "--yes"), ("environment",)),
    "environment.stop": (_named("env", "stop", "environment"), ("environment",)),
    "environment.start": (_named("env", "start", "environment"), ("environment",)),
    "host.cordon": (_named("host", "cordon", "host"), ("host",)),
    "host.uncordon": (_named("host", "uncordon", "host"), ("host",)),
    "host.restore": (_named("host", "restore", "host"), ("host",)),
    "host.remove": (_named("host", "remove", "host", "--yes"), ("host",)),
    "trigger.remove": (_named("trigger", "remove", "trigger"), ("trigger",)),
    "trigger.enable": (_named("trigger", "enable", "trigger"), ("trigger",)),
    "trigger.disable": (_named("trigger", "disable", "trigger"), ("trigger",)),
    "tenant.reset": (_named("tenant", "reset", "tenant"), ("tenant",)),
}
"""Commands with a short line, and the members that it can say."""
