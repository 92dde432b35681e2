"""What was seen, and whether it is as promised: everything the demo prints at its end.

The evidence comes from four sides that know nothing of each other: what the askers were told, what
the read side shows, what the agents say, and what another process finds in the journal.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from domain.contracts import Reply
from domain.problems import Problem
from restow.check import Verdict
from restow.cli.output import Column, field, out, show_table, text
from restow.demo.scene import Asked, DemoError, Scene, Story
from restow.demo.watching import Watching
from restow.demo.wave import LEAST, MOST, added, firings
from restow.talk import EngineStatus

RECOVERY_MAX_S = 20.0
"""Lease and margin are 6 s in the demo; the rest is to start, to become healthy and to be seen."""
TAKEOVER_MAX_S = 3.0
"""A standby is to be active within this time (product.md, O3)."""


class Takeover(msgspec.Struct, frozen=True, kw_only=True):
    """The death of the active engine.

    `took_s` is from the kill until a command was answered again: the same one as before, under
    the same id, whose answers were `first` and `again`.
    """

    victim: EngineStatus
    heir: EngineStatus
    took_s: float
    first: Reply
    again: Reply | Problem


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """The loss of a host that carried something. `took_s`: from the kill until all served again."""

    host: str
    carried: Sequence[str]
    lost_s: float
    took_s: float
    recovery: Story


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen. `code` is the exit code of the process that verified the journal."""

    asked: Sequence[Asked]
    takeover: Takeover
    loss: Loss
    growth: Story
    watching: Watching
    commands: Sequence[Story]
    containers: Sequence[Story]
    operations: Sequence[Story]
    migrations: Sequence[Story]
    firings: Sequence[Story]
    verdict: Verdict
    code: int

    @classmethod
    async def gathered(
        cls, scene: Scene, takeover: Takeover, loss: Loss, growth: Story
    ) -> "Evidence":
        """Ask everybody. Raises `DemoError`."""
        lists = {
            noun: (await scene.read(f"{noun}.list", {"limit": 1_000}))["items"]
            for noun in ("command", "container", "operation", "migration")
        }
        scene.tell("another process replays the journal: restow audit verify")
        verdict, code = await verified(scene)
        return cls(
            asked=scene.asked,
            takeover=takeover,
            loss=loss,
            growth=growth,
            watching=scene.watching,
            commands=lists["command"][::-1],
            containers=lists["container"],
            operations=lists["operation"],
            migrations=lists["migration"],
            firings=await firings(scene),
            verdict=verdict,
            code=code,
        )


async def verified(scene: Scene) -> tuple[Verdict, int]:
    """Let another process verify the journal; return what it found, and its exit code."""
    up = scene.site.up
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "restow", "audit", "verify", "-o", "json"),
        *("--url", up.url, "--prefix", up.prefix),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    try:
        return msgspec.json.decode(said, type=Verdict), process.returncode or 0
    except msgspec.DecodeError as error:
        message = f"`restow audit verify` failed: {complained.decode()}"
        raise DemoError(message) from error


class Judgement(msgspec.Struct, frozen=True):
    """A promise, and whether it was kept."""

    promise: str
    kept: bool
    found: str = ""


def judge(seen: Evidence) -> list[Judgement]:
    """Compare what was seen with what was promised."""
    return [
        *_answers(seen),
        *_availability(seen),
        _certificates(seen),
        *_moves(seen),
        _growth(seen),
        *_restarts(seen),
        *_takeover(seen.takeover),
        *_loss(seen),
        _wave(seen.firings),
        Judgement(
            "another process replayed the journal and found every invariant kept",
            seen.verdict.good and seen.code == 0,
            "; ".join(fault.what for fault in seen.verdict.faults)
            or f"{seen.verdict.position:,} events, {seen.verdict.checks:,} checks",
        ),
    ]


def _answers(seen: Evidence) -> Iterator[Judgement]:
    written = {line["id"]: line for line in seen.commands}
    wrong = [
        one.command
        for one in seen.asked
        if (line := written.get(one.reply.command_id)) is None
        or (line["answer"], tuple(line["operations"]))
        != (one.reply.status, one.reply.operation_ids)
    ]
    times = Counter(line["id"] for line in seen.commands)
    twice = [name for name, count in times.items() if count > 1]
    found = f"{len(seen.asked)} commands of the story" if not wrong + twice else text(wrong + twice)
    yield Judgement(
        "each command has one answer, the one its asker was told", not wrong + twice, found
    )
    failed = [line["id"] for line in seen.operations if line["outcome"] != "done"]
    found = text(failed) if failed else f"{len(seen.operations)} operations"
    yield Judgement("every operation did what was asked", not failed, found)


def _availability(seen: Evidence) -> Iterator[Judgement]:
    for layer in seen.verdict.layers:
        if layer.containers > 1:
            found = f"at least {layer.minimum} of {layer.of} at any time"
            promise = f"{layer.environment}/{layer.layer} was never without an operable container"
            yield Judgement(promise, layer.minimum > 0, found)


def _certificates(seen: Evidence) -> Judgement:
    """Compare the certificates with what the read side says is over, and count those that hold."""
    over = len(seen.operations) + len(seen.migrations)
    made, holding = seen.verdict.certificates, seen.verdict.holding
    promise = "each operation and migration has a certificate of availability that holds"
    return Judgement(promise, made == holding == over, f"{holding} of {over}")


def _moves(seen: Evidence) -> Iterator[Judgement]:
    for line in seen.migrations:
        before = seen.watching.on(line["container"], line["source"])
        after = seen.watching.on(line["container"], line["target"])
        went_on = bool(before and after) and before[-1].count <= after[0].count
        same = bool(before and after) and before[-1].restarts == after[-1].restarts
        found = counted(line, seen.watching)
        promise = f"{line['container']} moved while it ran: its counter went on"
        yield Judgement(promise, line["state"] == "completed" and went_on and same, found)


def _growth(seen: Evidence) -> Judgement:
    """Compare what one container has with what it outgrew its host for."""
    growth = seen.growth
    one = next(line for line in seen.containers if line["id"] == growth["container"])
    moved = [line["container"] for line in seen.migrations if line["id"] in growth["migrations"]]
    kept = one["host"] == growth["host"] and one["restarts"] == 0 and bool(moved)
    found = f"{one['applied']} cloudlets on {one['host']}, {text(moved)} moved"
    return Judgement(f"{one['id']} outgrew its host, and others made room for it", kept, found)


def counted(line: Story, watching: Watching) -> str:
    """Return what a container had counted to before and after it moved."""
    before = watching.on(line["container"], line["source"])
    after = watching.on(line["container"], line["target"])
    if not before or not after:
        return "no samples"
    return f"{before[-1].count} on {line['source']}, then {after[0].count} on {line['target']}"


def _restarts(seen: Evidence) -> Iterator[Judgement]:
    app = [one for one in seen.containers if one["layer"] == "app"]
    others = [one for one in seen.containers if one["layer"] != "app"]
    wrong = [one["id"] for one in app if one["restarts"] != 1]
    wrong += [one["id"] for one in app if seen.watching.restarts(one["id"]) != 1]
    wrong += [one["id"] for one in others if one["restarts"]]
    promise = "each app container was restarted once, in spite of the kill; no other one was"
    yield Judgement(promise, not wrong, text(wrong) if wrong else f"{len(app)} containers")


def _takeover(seen: Takeover) -> Iterator[Judgement]:
    yield Judgement(
        f"the standby took over within {TAKEOVER_MAX_S:.0f} s",
        seen.took_s < TAKEOVER_MAX_S and seen.heir.engine != seen.victim.engine,
        f"{seen.heir.engine} for {seen.victim.engine}, epoch {seen.victim.epoch} -> "
        f"{seen.heir.epoch}, {seen.took_s:.1f} s from the kill to the next answer",
    )
    again = seen.again
    same = isinstance(again, Reply) and again.operation_id == seen.first.operation_id
    found = again.operation_id if isinstance(again, Reply) else again.detail
    yield Judgement(
        "the same command, asked again of the new engine, got the same answer", same, found
    )


def _loss(seen: Evidence) -> Iterator[Judgement]:
    loss = seen.loss
    recovered = [one["container"] for one in loss.recovery["containers"]]
    places = {one["id"]: one["host"] for one in seen.containers}
    elsewhere = all(places[name] != loss.host for name in loss.carried)
    yield Judgement(
        f"what the lost host carried serves elsewhere within {RECOVERY_MAX_S:.0f} s",
        bool(loss.carried)
        and sorted(recovered) == sorted(loss.carried)
        and elsewhere
        and loss.took_s < RECOVERY_MAX_S,
        f"{', '.join(loss.carried)} of {loss.host}: lost after {loss.lost_s:.1f} s,"
        f" all of it serves after {loss.took_s:.1f} s",
    )
    twice = [name for name in loss.carried if seen.watching.twice(name)]
    yield Judgement(
        "nothing ever ran in two places", not twice, text(twice) if twice else "as the hosts said"
    )


def _wave(fired: Sequence[Story]) -> Judgement:
    """Compare what the trigger did with its rule: more when used more, fewer when used less."""
    counts = [(line["count"], line["wanted"]) for line in fired]
    within = all(LEAST <= count <= MOST for pair in counts for count in pair)
    ways = {added(line) for line in fired}
    ended = all(line["outcome"] == "done" for line in fired)
    found = ", ".join(f"{before} -> {after}" for before, after in counts)
    promise = "the trigger followed the wave: it added a container, and removed it again"
    return Judgement(promise, within and ended and ways == {True, False}, found)


def show(judgements: Sequence[Judgement], seen: Evidence) -> bool:
    """Print what was seen and how it was judged; return whether every promise was kept."""
    out("\ncommands")
    show_table(_summed(seen.commands), COMMANDS, headers=True)
    out("\noperable containers, as replayed from the journal")
    show_table([msgspec.to_builtins(one) for one in seen.verdict.layers], LAYERS, headers=True)
    out("\nmigrations")
    moves = [{**line, "counter": counted(line, seen.watching)} for line in seen.migrations]
    show_table(moves, MIGRATIONS, headers=True)
    out("\npromises")
    for one in judgements:
        out(f"  {'kept  ' if one.kept else 'BROKEN'}  {one.promise}: {one.found}")
    good = all(one.kept for one in judgements)
    out(f"\n{'all of it is true' if good else 'not all of it is as promised'}")
    return good


def _summed(commands: Sequence[Story]) -> list[Story]:
    """Return the commands in order; registrations of hosts, which are alike, as one line."""
    hosts = [line for line in commands if line["command"] == "host.register"]
    told = [line for line in commands if line["command"] != "host.register"]
    answers = Counter(line["answer"] for line in hosts)
    summed = ", ".join(f"{count} {answer}" for answer, count in answers.items())
    return [{"command": "host.register", "answer": summed, "operations": ""}, *told]


COMMANDS = (
    field("COMMAND", "command"),
    field("ANSWER", "answer"),
    field("OPERATIONS", "operations"),
    field("EVENTS", "events"),
    field("REASON", "reason"),
    field("ID", "id"),
)
LAYERS = (
    Column("LAYER", lambda one: f"{one['environment']}/{one['layer']}"),
    Column("MINIMUM", lambda one: f"{one['minimum']} of {one['of']}"),
    field("AT POSITION", "minimum_at"),
    field("ACCEPTED FALLS", "excuses"),
)
MIGRATIONS = (
    field("MIGRATION", "id"),
    field("CONTAINER", "container"),
    field("FROM", "source"),
    field("TO", "target"),
    field("STATE", "state"),
    field("FROZEN MS", "freeze_ms"),
    field("TOTAL MS", "total_ms"),
    field("COUNTER", "counter"),
)
