"""The pages of the contract in Markdown: commands, events, errors."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from domain.contracts.catalogue import (
    COMMANDS,
    COMMON,
    CONTRACT_VERSION,
    EVENTS,
    CommandContract,
    EventContract,
)
from domain.contracts.decoding import REQUEST_BYTES_MAX
from domain.contracts.fields import allowed, fields_of
from domain.contracts.schemas import example
from domain.messages import Code, PublicCommand
from domain.problems import EXIT_MEANINGS, PROBLEMS, anchor

BODY_KIB_MAX = REQUEST_BYTES_MAX // 1024
MADE = "<!-- Made by `python -m restow.generate` from domain/contracts; do not edit. -->"
EVERY = PublicCommand.__struct_fields__
"""Fields that every command has."""


def commands_page() -> str:
    """Return the page of every command."""
    return _page(
        "Commands",
        f"""
Contract version {CONTRACT_VERSION}. A command is a JSON object (at most {BODY_KIB_MAX} KiB)
sent to `restow.svc.v1.<noun>.<verb>` (answered when it is journaled) or published to
`restow.cmd.v1.<tenant>.<noun>.<verb>` (stored at once, answered on `restow.res.<tenant>.<id>`).
A field that is not known is refused. A CloudEvent in structured mode (`Content-Type:
application/cloudevents+json`) is taken too: `type` is the command, `data` its fields.

The same id with the same body gets the same answer for 24 hours; with another body it is refused
with `command.id_reused`. The id may stand in the header `Nats-Msg-Id` instead of the body. On the
typed door the headers `Restow-Tenant` and `Restow-Actor` say for whom and by whom it is asked.

```
nats req restow.svc.v1.layer.scale '{{"environment":"shop","layer":"cp","count":6}}'
nats pub restow.cmd.v1.acme.layer.restart '{{"environment":"shop","layer":"cp"}}' -H Nats-Msg-Id:r-1
nats service info restow-commands
```

## In every command

{_fields(PublicCommand, EVERY)}

Every command may be refused with {_codes(COMMON)}.
""",
        *(_command(contract) for contract in COMMANDS.values()),
    )


def _command(contract: CommandContract) -> str:
    own = [name for name in contract.shape.__struct_fields__ if name not in EVERY]
    typed = msgspec.json.format(msgspec.json.encode(example(contract)), indent=2).decode()
    return f"""
## {contract.name}

{contract.text}

{_fields(contract.shape, own)}

```json
{typed}
```

Command line: `{contract.cli}`. Its own refusals: {_codes(contract.errors)}. Since {contract.since}.
"""


def events_page() -> str:
    """Return the page of every event."""
    nouns = dict.fromkeys(event.stream for event in EVENTS.values())
    return _page(
        "Events",
        f"""
Contract version {CONTRACT_VERSION}. Every event is published to `restow.evt.<noun>.<id>` as a
CloudEvent 1.0 in structured JSON, and kept by the stream EVT: `type` is `io.restow.<event>.v1`,
`subject` names what it happened to, `aggversion` is its version after it, `position` its place in
the journal, `causationid` the command, `correlationid` the operation or migration, and `data` holds
the fields below. Readers ignore fields and types that they do not know.

A field with a default is left out where it has that value.
""",
        *(
            f"\n## On `restow.evt.{noun}.<id>`\n"
            + "".join(_event(event) for event in EVENTS.values() if event.stream == noun)
            for noun in nouns
        ),
    )


def _event(contract: EventContract) -> str:
    fields = _fields(contract.shape, contract.shape.__struct_fields__)
    return f"\n### {contract.name}\n\n{contract.text}\n\n{fields}\n"


def errors_page() -> str:
    """Return the page of every error and of the exit codes."""
    exits = ((str(int(code)), meaning) for code, meaning in EXIT_MEANINGS.items())
    return _page(
        "Errors",
        f"""
A refusal is a value with a code, a sentence with numbers, and a way on. It looks the same on every
door (RFC 9457, `application/problem+json`); on NATS the headers `Nats-Service-Error-Code` and
`Nats-Service-Error` say it too. `retryable` means that the very same command with the same id may
succeed after `retry_after_ms`.

{_table(("code", "status", "retryable", "exit"), (_error_row(code) for code in Code))}

Exit codes of the command line:

{_table(("exit", "meaning"), exits)}
""",
        *(_error(code) for code in Code),
    )


def _error_row(code: Code) -> Sequence[str]:
    kind = PROBLEMS[code]
    retry = f"after {kind.retry_after_ms} ms" if kind.retryable else "no"
    return (f"[`{code}`](#{anchor(code)})", str(kind.status), retry, str(int(kind.exit)))


def _error(code: Code) -> str:
    kind = PROBLEMS[code]
    asked = [name for name, contract in COMMANDS.items() if code in contract.errors]
    met = f"\nMet by: {', '.join(f'`{name}`' for name in asked)}.\n" if asked else ""
    return f"""
<a id="{anchor(code)}"></a>
## {code}

{kind.title}. {kind.way_on}
{met}"""


def errors_document() -> dict[str, Any]:
    """Return every error as data, as `<p>.meta.errors` answers."""
    return {
        "version": CONTRACT_VERSION,
        "errors": [
            {
                "code": str(code),
                "status": kind.status,
                "title": kind.title,
                "way_on": kind.way_on,
                "retryable": kind.retryable,
                "retry_after_ms": kind.retry_after_ms,
                "exit": int(kind.exit),
            }
            for code, kind in PROBLEMS.items()
        ],
    }


def _fields(shape: type[msgspec.Struct], names: Iterable[str]) -> str:
    wanted = set(names)
    rows = [
        (f"`{field.name}`", allowed(field.type) or "any", _default(field.default, field.required))
        for field in fields_of(shape)
        if field.name in wanted
    ]
    return _table(("field", "holds", "default"), rows) if rows else "It has no fields of its own."


def _default(default: object, required: bool) -> str:  # noqa: FBT001 -- as msgspec says it
    if required:
        return "must be given"
    if default is None or default is msgspec.NODEFAULT:
        return "none"
    return f"`{msgspec.json.encode(default).decode()}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _codes(codes: Iterable[Code]) -> str:
    return ", ".join(f"[`{code}`](errors.md#{anchor(code)})" for code in codes) or "none"


def _page(title: str, *parts: str) -> str:
    return f"{MADE}\n\n# {title}\n\n" + "\n".join(part.strip() + "\n" for part in parts)
