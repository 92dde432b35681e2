"""What went wrong, told alike on every door: class, title, retry, exit code and way on per code.

A refusal becomes a `Problem` (RFC 9457), with the same members on NATS and in HTTP. The table here
is where `docs/errors.md`, the exit codes of the command line and the error headers come from.
"""

import re
from collections.abc import Mapping
from enum import IntEnum

import msgspec

from domain.messages import Code, Facts, Refusal

PAGE = "docs/errors.md"
HEADER_TEXT_MAX = 200
"""Characters of an error in a header."""
UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
"""What would end a header, or is read otherwise by others."""
BUGS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,  # of these, RecursionError
    TypeError,
    ValueError,
)
"""What a mistake of ours raises where nothing is done but thinking: reading, deciding, looking up.
It is answered `internal`, once, and the queue goes on."""


class Exit(IntEnum):
    """How the command line ends."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    CONFLICT = 5
    WAIT_TIMED_OUT = 6
    UNREACHABLE = 7
    DENIED = 8
    DIFFERENT = 9
    CHANGES = 10
    INTERRUPTED = 130


EXIT_MEANINGS: Mapping[Exit, str] = {
    Exit.DONE: "done",
    Exit.FAILED: "the operation failed, or the command expired",
    Exit.USAGE: "wrong usage: the command line or the request is not valid",
    Exit.NOT_FOUND: "what was named does not exist",
    Exit.REFUSED: "refused by a rule: capacity, anti-affinity, availability, limits",
    Exit.CONFLICT: "conflict: it changed, exists already, or is busy",
    Exit.WAIT_TIMED_OUT: "timed out waiting; the work goes on",
    Exit.UNREACHABLE: "bus or engine cannot be reached",
    Exit.DENIED: "not allowed",
    Exit.DIFFERENT: "verification found a difference",
    Exit.CHANGES: "a plan has changes (with `--exit-code`)",
    Exit.INTERRUPTED: "interrupted; the work goes on",
}

EXIT_OF_STATUS: Mapping[int, Exit] = {
    400: Exit.USAGE,
    403: Exit.DENIED,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    410: Exit.FAILED,
    422: Exit.REFUSED,
    429: Exit.FAILED,
    500: Exit.FAILED,
    503: Exit.UNREACHABLE,
    504: Exit.WAIT_TIMED_OUT,
}


class Kind(msgspec.Struct, frozen=True):
    """One kind of problem.

    `status` is its class, as in HTTP. `retry_after_ms` is for those that pass by themselves: the
    same command with the same id may be sent again after it; 0 where sending again changes nothing.
    """

    status: int
    title: str
    way_on: str
    retry_after_ms: int = 0

    @property
    def retryable(self) -> bool:
        """Whether the very same command, with the same id, may succeed later."""
        return self.retry_after_ms > 0

    @property
    def exit(self) -> Exit:
        """How the command line ends."""
        return EXIT_OF_STATUS[self.status]


PROBLEMS: Mapping[Code, Kind] = {
    Code.REQUEST_INVALID: Kind(
        400,
        "The request is not valid",
        "Correct the field that `path` names; `docs/commands.md` has every field and an example.",
    ),
    Code.REQUEST_TOO_LARGE: Kind(
        400,
        "The request is too large",
        "Make it smaller: a command has at most 64 KiB. Split what can be split.",
    ),
    Code.COMMAND_UNKNOWN: Kind(
        400,
        "There is no such command",
        "Use one of the names in `detail`; `restow command list` shows all of them.",
    ),
    Code.COMMAND_NOT_FOUND: Kind(
        404,
        "There is no such command among the latest",
        "See `restow command asked -o wide`; older ones are in the journal: `restow event list`.",
    ),
    Code.COMMAND_REUSED: Kind(
        409,
        "This id was used for another command",
        "Give the new command an id of its own. An id is sent again only with the same body.",
    ),
    Code.COMMAND_EXPIRED: Kind(
        410,
        "The command came too late",
        "Nothing was done. Send it again under a new id, with a later `expires_at` or none.",
    ),
    Code.AUTH_DENIED: Kind(
        403,
        "Not allowed",
        "Ask an operator; what belongs to another tenant can be neither read nor changed.",
    ),
    Code.HOST_NOT_FOUND: Kind(
        404, "There is no such host", "See `restow host list`; register the host first."
    ),
    Code.HOST_EXISTS: Kind(
        409,
        "The host is registered differently",
        "Relabel it with `restow host relabel`, or remove it first.",
    ),
    Code.HOST_LOST: Kind(
        409,
        "The host is lost",
        "It comes back by itself when its agent does (`restow host list`). If it never will,"
        " `restow host lose` vouches that it is dead, and `restow host remove` forgets it.",
    ),
    Code.HOST_IN_USE: Kind(
        409,
        "The host still carries containers",
        "Cordon it, migrate its containers, then try again under a new id.",
    ),
    Code.ENVIRONMENT_NOT_FOUND: Kind(
        404, "There is no such environment", "See `restow env list`; create it first."
    ),
    Code.ENVIRONMENT_EXISTS: Kind(
        409,
        "The environment exists",
        "Choose another name, or change its layers with `restow layer add` and `layer scale`.",
    ),
    Code.ENVIRONMENT_LEAVING: Kind(
        409,
        "The environment or layer is being removed",
        "Wait until it is gone; nothing new begins in it.",
    ),
    Code.ENVIRONMENT_STOPPED: Kind(
        409,
        "The environment is stopped",
        "Start it with `restow env start <environment>`, then send it again under a new id.",
    ),
    Code.LAYER_NOT_FOUND: Kind(
        404, "There is no such layer", "See `restow env show <environment>` for its layers."
    ),
    Code.LAYER_EXISTS: Kind(
        409, "The layer exists", "Choose another name, or scale and change the layer that is there."
    ),
    Code.CONTAINER_NOT_FOUND: Kind(
        404, "There is no such container", "See `restow container list`; names are `node<number>`."
    ),
    Code.OPERATION_NOT_FOUND: Kind(
        404, "There is no such operation", "See `restow op list`; names are `op<number>`."
    ),
    Code.OPERATION_BUSY: Kind(
        409,
        "Another operation holds the layer",
        "Wait for the operation in `facts`, or send it again under a new id with `queue` true.",
    ),
    Code.OPERATION_ENDED: Kind(
        409, "The operation is over", "Nothing is left to change; see `restow op show`."
    ),
    Code.MIGRATION_NOT_FOUND: Kind(
        404, "There is no such migration", "See `restow migration list`; names are `mv<number>`."
    ),
    Code.DEAD_NOT_FOUND: Kind(
        404, "There is no such dead letter", "See `restow dead list`; names are `dl<number>`."
    ),
    Code.RECOVERY_NOT_FOUND: Kind(
        404, "There is no such recovery", "See `restow recovery list`; names are `rc<number>`."
    ),
    Code.EVACUATION_NOT_FOUND: Kind(
        404, "There is no such evacuation", "See `restow evacuation list`; names are `ev<number>`."
    ),
    Code.EVACUATION_ENDED: Kind(
        409, "The evacuation is over", "Nothing is left to change; see `restow evacuation show`."
    ),
    Code.REBALANCE_NOT_FOUND: Kind(
        404, "There is no such rebalance", "See `restow rebalance list`; names are `rb<number>`."
    ),
    Code.REBALANCE_ENDED: Kind(
        409, "The rebalance is over", "Nothing is left to change; see `restow rebalance show`."
    ),
    Code.GROWTH_NOT_FOUND: Kind(
        404, "There is no such growth", "See `restow growth list`; names are `gr<number>`."
    ),
    Code.GROWTH_ENDED: Kind(
        409, "The growth is over", "Nothing is left to change; see `restow growth show`."
    ),
    Code.TRIGGER_NOT_FOUND: Kind(
        404, "There is no such trigger", "See `restow trigger list`; names are `tr<number>`."
    ),
    Code.VERSION_CONFLICT: Kind(
        409,
        "It changed since it was read",
        "Read it again, look at what changed, and send under a new id with the new version.",
    ),
    Code.PLAN_OUTDATED: Kind(
        409,
        "It would do something else now",
        "Plan again (`dry_run`), look at what is different, and apply the new plan.",
    ),
    Code.CAPACITY_INSUFFICIENT: Kind(
        422,
        "No host has room",
        "Look at the reasons counted in `facts`: ask for less, add hosts, or uncordon some.",
    ),
    Code.ANTIAFFINITY_VIOLATED: Kind(
        422,
        "Containers that must be apart would share a host",
        "Add hosts or ask for fewer; or make the group `soft`.",
    ),
    Code.AVAILABILITY_WOULD_BREAK: Kind(
        422,
        "The layer would not stay available",
        "Go one by one, add a container first (`surge`), or say `accept_downtime`.",
    ),
    Code.LIMITS_OUT_OF_RANGE: Kind(
        422, "A value is out of its range", "Use a value in the range that `detail` gives."
    ),
    Code.MIGRATION_NOT_POSSIBLE: Kind(
        422,
        "The container cannot be moved so",
        "See `detail`: choose another target or none, or wait until the container runs.",
    ),
    Code.RATE_LIMITED: Kind(
        429,
        "Too much at once",
        "Send the same command with the same id again after `retry_after_ms`; `detail` says which"
        " limit it is, `restow tenant list` what the limits are.",
        retry_after_ms=200,
    ),
    Code.ENGINE_NOT_LEADER: Kind(
        503,
        "This engine is not active any more",
        "Send the same command with the same id again; the other engine takes over.",
        retry_after_ms=500,
    ),
    Code.ENGINE_CATCHING_UP: Kind(
        503,
        "The journal is still being read",
        "Ask again a little later, a command with the same id; `detail` says how far it is.",
        retry_after_ms=1_000,
    ),
    Code.BUS_UNAVAILABLE: Kind(
        503,
        "Nobody answers on the bus",
        "Start an engine with `restow up`, or check `NATS_URL`; the same id may be sent again.",
        retry_after_ms=1_000,
    ),
    Code.WAIT_TIMEOUT: Kind(
        504,
        "Not over yet",
        "The work goes on. Watch it with `restow op watch`, or read its answer with the same id.",
        retry_after_ms=1_000,
    ),
    Code.INTERNAL: Kind(
        500,
        "Restow made a mistake",
        "Send the same command with the same id again; give the trace id to the operator.",
        retry_after_ms=1_000,
    ),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why not, as it goes over every door: the members of RFC 9457, and Restow's own.

    `path` names the field (JSON path) or header; `way_on` what to do next; `position` is that of
    the last event when this was decided, 0 where nothing was.
    """

    type: str
    title: str
    status: int
    detail: str
    code: Code
    path: str = ""
    retryable: bool = False
    retry_after_ms: int = 0
    way_on: str = ""
    command_id: str = ""
    position: int = 0
    facts: Facts = {}


def problem(refusal: Refusal, command_id: str = "", position: int = 0) -> Problem:
    """Return the problem that tells of this refusal."""
    kind = PROBLEMS[refusal.code]
    return Problem(
        type=f"{PAGE}#{anchor(refusal.code)}",
        title=kind.title,
        status=kind.status,
        detail=refusal.detail,
        code=refusal.code,
        path=refusal.path,
        retryable=kind.retryable,
        retry_after_ms=refusal.retry_after_ms or kind.retry_after_ms,
        way_on=kind.way_on,
        command_id=command_id,
        position=position,
        facts=refusal.facts,
    )


def header_text(told: Problem) -> str:
    """Return what the header `Nats-Service-Error` says: code and sentence, as far as it can."""
    return UNPRINTABLE.sub("?", f"{told.code}: {told.detail}"[:HEADER_TEXT_MAX])


def anchor(code: Code) -> str:
    """Return the anchor of a code in the page of errors: `capacity-insufficient`."""
    return code.replace(".", "-").replace("_", "-")
