"""`restow audit`: any aggregate as it was at any version, and the whole journal verified."""

import msgspec

from domain.problems import Exit
from restow.check import check
from restow.cli.exits import EndedError
from restow.cli.flags import HERE, SHOWN, At, Showing, noun
from restow.cli.output import out, say, show_item
from restow.cli.talk import reachable, region_of

audit = noun("audit", "Any state at any version; the whole journal verified.")

KEPT = {
    "show": "Show an aggregate as it was after VERSION events of its stream.\n\n"
    "For example: restow audit show environment.shop --version 2",
    "history": "List the events of one stream, with who asked for them and why.\n\n"
    "For example: restow audit history container.node17 -o wide",
}
for verb, text in KEPT.items():  # loaded when used: they bring a library that verifying does not
    audit.command(f"restow.cli.auditing:{verb}", name=verb, help=text)


@audit.command(help_epilogue="For example: restow audit verify -o json")
async def verify(*, at: At = HERE, how: Showing = SHOWN) -> None:
    """Replay the whole journal: hash chain, versions, answers, invariants, certificates.

    Nothing but the journal is believed. Ends with 9 where something is not as it must be.
    """
    region = region_of(at)
    with reachable(region):
        verdict = await check(region.address, region.prefix)
    if how.output in {"json", "jsonl"}:
        show_item(msgspec.to_builtins(verdict), how.look, lambda _: region.prefix)
    else:
        out(
            f"replayed {verdict.frames:,} frames of {verdict.epochs:,} epochs,"
            f" {verdict.position:,} events"
        )
        out(f"hash chain ends with {verdict.hash[:16]}")
        out(f"{verdict.asks:,} asks, each answered once, {verdict.refused:,} of them refused")
        out(f"{verdict.invariants} invariants, {verdict.checks:,} checks after every commit")
        out(f"{verdict.certificates:,} certificates of availability, {verdict.holding:,} hold")
    if not verdict.good:
        for fault in verdict.faults:
            say(f"error: at position {fault.position:,}: {fault.what}")
        raise EndedError(Exit.DIFFERENT)
    if how.output == "table":
        out("all is as it must be")
