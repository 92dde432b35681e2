"""From what came through a door to an ask, or to the problem that is answered instead."""

from collections.abc import Callable, Mapping

import msgspec
import structlog

from domain.contracts import Asker, decode_command, is_id, make_ask
from domain.decider import Ask
from domain.messages import AskName, Code, Instant, Refusal
from domain.problems import BUGS, Problem, problem

log = structlog.stdlib.get_logger(__name__)

ID = "Nats-Msg-Id"
ACTOR = "Restow-Actor"
TENANT = "Restow-Tenant"
CONTENT_TYPE = "Content-Type"
OPERATOR = "operator"


class Call(msgspec.Struct, frozen=True):
    """A command as it arrived: its name from the subject, its body, what the headers say.

    `tenant` is None where the header may name it; a door that knows better sets it. `spare_id`
    makes an id for a command that came without one; `expires` is for one that says nothing.
    """

    name: str
    body: bytes
    headers: Mapping[str, str]
    spare_id: Callable[[], str]
    tenant: str | None = None
    expires: Instant | None = None


class _Named(msgspec.Struct):
    id: AskName = ""


_names = msgspec.json.Decoder(_Named)


def read(call: Call, now: Instant) -> Ask | Problem:
    """Return the ask that a call makes, or why it is none.

    A mistake of ours over it is answered `internal`: raised, it would end this engine, and the
    next, and of what is kept every one to come.
    """
    try:
        return _read(call, now)
    except BUGS:
        trace = call.spare_id()
        log.exception("door.bug", trace=trace, command=call.name)
        return internal(trace, _name(call.headers.get(ID, "") or _id_in(call.body), call))


def _read(call: Call, now: Instant) -> Ask | Problem:
    command = decode_command(call.name, call.body, call.headers.get(CONTENT_TYPE, ""))
    if isinstance(command, Refusal):
        return problem(command, _name(call.headers.get(ID, "") or _id_in(call.body), call))
    asker = Asker(
        id=call.headers.get(ID) or command.id or call.spare_id(),
        actor=_actor(call),
        tenant=call.headers.get(TENANT, "") if call.tenant is None else call.tenant,
        expires=call.expires,
    )
    ask = make_ask(command, asker, now)
    return problem(ask, _name(asker.id, call)) if isinstance(ask, Refusal) else ask


def _name(said: str, call: Call) -> str:
    """Return what a problem is told under; what is no id would make no subject either."""
    return said if is_id(said) else call.spare_id()


def _actor(call: Call) -> str:
    """Return who asks. Whoever comes as a tenant cannot pass for the operator."""
    said = call.headers.get(ACTOR, "")
    if call.tenant is None:
        return said or OPERATOR
    return f"{call.tenant}/{said}" if said else call.tenant


def _id_in(body: bytes) -> str:
    """Return the id of a body that is no command, so that its asker can know the problem."""
    try:
        return _names.decode(body).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def plain_headers(headers: Mapping[str, str | list[str]] | None) -> Mapping[str, str]:
    """Return the headers with one text each.

    They are lists where the package fast-mail-parser happens to be installed beside nats-py.
    """
    if not headers:
        return {}
    return {k: v if isinstance(v, str) else (v[0] if v else "") for k, v in headers.items()}


def internal(trace: str, command_id: str = "") -> Problem:
    """Return what an asker is told of a mistake of ours: nothing but where to look it up."""
    refusal = Refusal(
        Code.INTERNAL, f"an unexpected error; trace {trace} in the log", facts={"trace": trace}
    )
    return problem(refusal, command_id)


def not_leader(command_id: str) -> Problem:
    """Return what an asker is told by an engine that stops."""
    return problem(Refusal(Code.ENGINE_NOT_LEADER, "this engine stopped answering"), command_id)
