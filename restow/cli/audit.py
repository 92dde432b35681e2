"""`restow audit`: the fleet as it was, what changed and why, and the whole journal verified."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from domain.problems import Exit
from domain.subjects import Subjects
from restow.check import check
from restow.cli.exits import EndedError, UsageError
from restow.cli.flags import HERE, SHOWN, At, Showing, noun
from restow.cli.output import out, say, show_item
from restow.cli.talk import reachable, region_of
from restow.noting import Held, StrangeNoteError, note_from, said_in
from restow.settings import Region

audit = noun("audit", "The fleet as it was, what changed and why; the journal verified.")

KEPT = {
    "show": "Show an aggregate as it was after VERSION events of its stream.\n\n"
    "For example: restow audit show environment.shop --version 2",
    "history": "List the events of one stream, with who asked for them and why.\n\n"
    "For example: restow audit history container.node17 -o wide",
}
THEN = {
    ("history", "as_of"): "Show the fleet, or one aggregate, as it was.\n\n"
    "For example:\n\nrestow audit as-of -5m\n\nrestow audit as-of 1234 container.node7",
    ("history", "diff"): "Show what changed between two moments, and who asked for it.\n\n"
    "For example:\n\nrestow audit diff 14000 15000\n\nrestow audit diff -1h now layer.shop/app",
    ("history", "bisect"): "Find the event that made a condition true.\n\n"
    "False at --from and true at --to it finds where it turned, by halving between keyframes; if it"
    " turned more than once, one of the turns. --every looks at each commit and finds the first."
    " Ends with 9 where it did not turn.\n\n"
    "For example:\n\nrestow audit bisect 'host.h03.used > 20'\n\n"
    "restow audit bisect 'container.node7.host == h02 and host.h02 exists' --every",
    ("whynot", "why_not"): "Say why a container is not on a host, and what would put it there.\n\n"
    "For example:\n\nrestow audit why-not node7 h03\n\n"
    "restow audit why-not node7 h03 --as-of now",
    ("undo", "undo"): "Say which commands bring back what was intended, and send them.\n\n"
    "Undone is what a command, or all commands between --from and --to, set: hosts, layers, sizes,"
    " places, triggers, limits. What somebody else changed since is left alone, and said. The"
    " commands are tried in a fork first; --apply sends them, each held to its own plan. Ends with"
    " 9 where something is left, with 4 where a command would be refused.\n\n"
    "For example:\n\nrestow audit undo op3\n\nrestow audit undo --from -10m --apply",
    ("event", "why"): "Say what led to an event, or to the newest event of an aggregate.\n\n"
    "The same as `restow event why`: each link is what the one before it came from, back to the"
    " command, who sent it, and why.\n\n"
    "For example:\n\nrestow audit why node17\n\nrestow audit why node17 --at -5m",
    (
        "noted",
        "note",
    ): "Print the note of the journal as it is now: six lines to be kept elsewhere.\n\n"
    "Whoever has it can say later whether the journal still begins so (`restow audit verify --note"
    " FILE`). The whole journal is read, and held against the note that the read side of this"
    " machine keeps. Ends with 9 where it is not as it was.\n\n"
    "For example:\n\nrestow audit note > monday.note",
    ("noted", "prove"): "Print a proof that the event at a position is in the journal, as JSON.\n\n"
    "It holds for a note of the journal as it is now, or with --note for that one. Ends with 3"
    " where there is no such event, with 9 where the journal is not as the note says.\n\n"
    "For example:\n\nrestow audit prove 812 --note monday.note > 812.proof",
    ("noted", "check"): "Check a proof by nothing but a note: it needs no bus and no data.\n\n"
    "Ends with 9 where the proof does not hold, with 2 where it is of another note.\n\n"
    "For example:\n\nrestow audit check 812.proof --note monday.note",
    ("exporting", "export"): "Write events as JSON Lines or Parquet.\n\n"
    "For example:\n\nrestow audit export events.parquet --from -1d\n\n"
    "restow audit export - --stream container.node7",
}
for (module, call), text in THEN.items():
    audit.command(f"restow.cli.{module}:{call}", name=call.replace("_", "-"), help=text)
for verb, text in KEPT.items():  # loaded when used: they bring a library that verifying does not
    audit.command(f"restow.cli.auditing:{verb}", name=verb, help=text)


@audit.command(help_epilogue="For example: restow audit verify --note monday.note")
async def verify(
    *,
    note: Annotated[Path | None, Parameter(help="Begin as this note says, too.")] = None,
    at: At = HERE,
    how: Showing = SHOWN,
) -> None:
    """Replay the whole journal: hash chain, versions, answers, invariants, certificates.

    Nothing but the journal is believed, and the note of it that is given: whether the journal
    still begins as `restow audit note` said. Ends with 9 where something is not as it must be.
    """
    region = region_of(at)
    held = Held(Subjects(region.prefix)) if note is None else _held(note, region)
    with reachable(region):
        verdict = await check(region.address, region.prefix, held)
    if how.output in {"json", "jsonl"}:
        show_item(msgspec.to_builtins(verdict), how.look, lambda _: region.prefix)
    else:
        out(
            f"replayed {verdict.frames:,} frames of {verdict.epochs:,} epochs,"
            f" {verdict.position:,} events"
        )
        out(f"hash chain ends with {verdict.hash[:16]}, root of its tree is {verdict.root[:16]}")
        if held.against is not None:
            begins = "begins as" if verdict.good else "was held against what"
            out(f"it {begins} {held.source} says: {held.against.frames:,} frames")
        out(f"{verdict.asks:,} asks, each answered once, {verdict.refused:,} of them refused")
        out(f"{verdict.invariants} invariants, {verdict.checks:,} checks after every commit")
        out(f"{verdict.certificates:,} certificates of availability, {verdict.holding:,} hold")
    if not verdict.good:
        for fault in verdict.faults:
            say(f"error: at position {fault.position:,}: {fault.what}")
        raise EndedError(Exit.DIFFERENT)
    if how.output == "table":
        out("all is as it must be")


def _held(path: Path, region: Region) -> Held:
    """Return what holds the journal against a note. Raises `UsageError`."""
    try:
        return Held(Subjects(region.prefix), note_from(path, region.prefix), said_in(path))
    except StrangeNoteError as error:
        raise UsageError(str(error)) from error
