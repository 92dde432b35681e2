"""`restow doctor`: what this machine can do as a host, what is missing, and how to get it."""

import os
from typing import Annotated

from cyclopts import Parameter

from domain.problems import Exit
from handlers.agent.runc.proving import prove
from handlers.machine.doctor import examine
from handlers.machine.findings import MEANT_FOR, Diagnosis, Finding, Grade, Use
from handlers.machine.looking import ThisMachine
from handlers.machine.moving import got_criu
from restow.cli.flags import SHOWN, Showing
from restow.cli.output import Column, Item, field, out, show_item, show_table, text

SETTINGS = {"runc": "RESTOW_RUNC", "criu": "RESTOW_CRIU"}
"""Where a program may be that is not to be looked for on the path."""
FINDINGS = (
    field("USE", "use"),
    field("WHAT", "name"),
    field("GRADE", "grade"),
    field("SEEN", "seen"),
    field("WHY", "why", wide=True),
)
ABILITIES = (
    Column("TO", lambda item: text(item.get("to"))),
    Column("CAN", lambda item: text(item.get("can"))),
    Column("LACKS", lambda item: text(item.get("lacks"))),
)
Wanted = Annotated[
    tuple[Use, ...],
    Parameter(name="--for", help="End with 9 unless it can be used so; else `containers`."),
]


def doctor(*, wanted: Wanted = (), how: Showing = SHOWN) -> int:
    """Say what this machine can do as a host, and for each missing thing the command that gets it.

    Changes nothing: what it tries (as root, to save a container of its own and bring it back) is
    gone when it ends. RESTOW_RUNC and RESTOW_CRIU name programs that are not on the path.
    Ends with 9 where it cannot run containers, or what --for names.
    For example: restow doctor --for containers --for migration
    """
    look = ThisMachine({name: os.environ[at] for name, at in SETTINGS.items() if at in os.environ})
    diagnosis = examine(look)
    if diagnosis.able(Use.MIGRATION):
        diagnosis = Diagnosis(diagnosis.distribution, (*diagnosis.findings, proof()))
    if how.output in {"json", "jsonl", "name"}:
        show_item(as_item(diagnosis), how.look, lambda item: str(item["distribution"]))
    else:
        _show(diagnosis, how)
    return (
        Exit.DONE
        if all(diagnosis.able(use) for use in wanted or (Use.CONTAINERS,))
        else Exit.DIFFERENT
    )


def proof() -> Finding:
    """Return whether a container could be saved here and brought back."""
    ability = prove()
    works = ability.live != "none"
    return Finding(
        Use.MIGRATION,
        "self-test",
        Grade.OK if works else Grade.MISSING,
        f"saved and brought back in {ability.took_ms} ms" if works else ability.why,
        "a program with an open connection is tried; what CRIU says of itself is not enough",
        got_criu(),
    )


def as_item(diagnosis: Diagnosis) -> Item:
    """Return a diagnosis as programs read it."""
    return {
        "distribution": diagnosis.distribution,
        "able": {str(use): diagnosis.able(use) for use in Use},
        "findings": [_line(diagnosis, finding) for finding in diagnosis.findings],
    }


def _line(diagnosis: Diagnosis, finding: Finding) -> Item:
    return {
        "use": str(finding.use),
        "name": finding.name,
        "grade": str(finding.grade),
        "seen": finding.seen,
        "why": finding.why,
        "remedy": dict(diagnosis.remedy(finding)),
    }


def _show(diagnosis: Diagnosis, how: Showing) -> None:
    lines = [_line(diagnosis, finding) for finding in diagnosis.findings]
    shown = [column for column in FINDINGS if how.output == "wide" or not column.wide]
    show_table(lines, shown, headers=not how.no_headers)
    out()
    show_table([_ability(diagnosis, use) for use in Use], ABILITIES, headers=not how.no_headers)
    ailing = [one for one in diagnosis.findings if one.grade is not Grade.OK]
    if ailing:
        out(f"\nto be had on {diagnosis.distribution}:")
    for finding in ailing:
        out(f"\n  {finding.name} ({finding.grade}): {finding.why}")
        remedies = diagnosis.remedy(finding)
        for where, command in remedies.items():
            out(f"    {command}" if len(remedies) == 1 else f"    {where}:  {command}")


def _ability(diagnosis: Diagnosis, use: Use) -> Item:
    needed = (Use.CONTAINERS, use) if use is Use.MIGRATION else (use,)
    lacks = [finding.name for one in needed for finding in diagnosis.missing(one)]
    return {"to": MEANT_FOR[use], "can": diagnosis.able(use), "lacks": lacks}
