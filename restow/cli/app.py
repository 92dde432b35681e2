"""What there is to type: nouns, and commands that run Restow. Parts are loaded when used."""

from cyclopts import App, Group

from domain.problems import EXIT_MEANINGS
from restow.cli.flags import PLAIN

TEXT = "Restow: an open, event-sourced control plane for isolated containers on many hosts."
NOUNS = Group("What there is", sort_key=1)
LOOKING = Group("Looking closer", sort_key=2)
RUNNING = Group("Running it", sort_key=3)
ALIASES = {
    "environment": "env",
    "container": "ct",
    "operation": "op",
    "migration": "mv",
    "projection": "proj",
}
LAB = "restow.lab.command:lab"
"""A noun that is not the command line's own."""


def _epilogue() -> str:
    codes = " · ".join(f"{code.value} {meaning}" for code, meaning in EXIT_MEANINGS.items())
    return f"First steps: restow demo, or restow up and then restow status.\n\nExit codes: {codes}."


app = App(
    "restow",
    TEXT,
    default_parameter=PLAIN,
    version_flags=(),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    help_epilogue=_epilogue(),
)

for group, parts in {
    NOUNS: {
        ("host", "host:host"): "Hosts: what they carry, and whether they take more.",
        ("environment", "environment:environment"): "Environments (env): what belongs together.",
        ("layer", "layer:layer"): "Layers: containers of one kind; scale, restart, limits.",
        ("container", "container:container"): "Containers (ct): scale and migrate one of them.",
        ("operation", "operation:operation"): "Operations (op) on layers: watch, pause, cancel.",
        ("growth", "growth:growth"): "Containers that outgrow their host, and who makes room.",
        ("migration", "migration:migration"): "Live migrations (mv).",
        ("tenant", "tenant:tenant"): "Tenants: how much each may ask for.",
        ("dead", "dead:dead"): "Dead letters: commands that could not be carried out.",
        ("recovery", "recovery:recovery"): "What lost hosts carried, restarted elsewhere.",
        ("evacuation", "evacuation:evacuation"): "Hosts that are emptied: watch, pause, stop.",
        ("rebalance", "rebalance:rebalance"): "The fleet made more even by a few live moves.",
        ("trigger", "trigger:trigger"): "Triggers: more or fewer containers, as usage asks.",
    },
    LOOKING: {
        ("status", "region:status"): "Who is active, how far the journal is, what is under way.",
        ("top", "top:top"): "The region at a glance, drawn again every second.",
        ("event", "event:event"): "What happened, and why.",
        ("command", "command:command"): "Every command there is; send one as JSON.",
        ("projection", "projection:projection"): "The views: how far, verified, built anew.",
        ("plan", "plan:plan"): "Plans that were saved: show, make again, apply as they are.",
        ("fork", "fork:fork"): "Try commands in a sandbox of history; no agent hears of it.",
        ("what-if", "whatif:what_if"): "History under another policy or trigger, side by side.",
        ("audit", "audit:audit"): "The fleet as it was, what changed and why; verified.",
    },
    RUNNING: {
        ("demo", "restow.demo.command:demo"): "Show a fleet at work, and prove it (90 s).",
        ("up", "running:up"): "Start everything on this machine, with simulated hosts.",
        ("lab", LAB): "Real hosts on this machine: moved live, restarted under load.",
        ("open", "opening:open_"): "Open the dashboard of what `restow up` runs.",
        ("down", "running:down"): "Stop what `restow up` started.",
        ("engine", "process:engine"): "Run one engine.",
        ("agent", "process:agent"): "Run the agent of hosts: simulated ones, or this machine.",
        (
            "reader",
            "process:reader",
        ): "Run the read side: views, read API, queries, public events, audit.",
        ("doctor", "doctor:doctor"): "What this machine can do as a host, and what is missing.",
        ("image", "image:image"): "Images on this machine: add, list, remove.",
        ("sweep", "image:sweep"): "Remove what real hosts left on this machine.",
        ("sim", "sim:sim"): "Live simulated worlds in which much goes wrong; --seed replays one.",
        ("version", "region:version"): "Versions of Restow and of what it speaks.",
        ("completion", "region:completion"): "Print the completion script of a shell.",
    },
}.items():
    for (name, place), text in parts.items():
        alias = ALIASES.get(name, ())
        own = {} if place in {f"{name}:{name}", LAB} else {"help_epilogue": ""}
        where = place if "." in place else f"restow.cli.{place}"
        app.command(where, name=name, alias=alias, help=text, group=group, **own)
