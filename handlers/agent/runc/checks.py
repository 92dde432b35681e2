"""How a container says what is healthy: its variable RESTOW_HEALTH, or a label of its image.

`tcp:8080`, `http:8080/healthz`, `command:/bin/check --quick`, or `runs`. Without a word it is the
first of its ports, by TCP; without a port, that it runs.
"""

import re
import shlex

from handlers.agent.runc.charge import Check
from handlers.agent.runc.images import Config
from handlers.agent.runtime import RuntimeFailedError, Spec

VARIABLE = "RESTOW_HEALTH"
LABEL = "restow.health"
PORT_MAX = 65_535
_TCP = re.compile(r"tcp:(\d{1,5})")
_HTTP = re.compile(r"http:(\d{1,5})(/[!-~]*)?")
_COMMAND = re.compile(r"command:(.+)")


def check_of(spec: Spec, config: Config) -> Check:
    """Return how a container is checked. Raises `RuntimeFailedError` where that cannot be read."""
    text = spec.variables.get(VARIABLE, config.labels.get(LABEL, ""))
    if not text:
        return Check("tcp", spec.ports[0]) if spec.ports else Check()
    found = _check(text)
    if found is None or found.port > PORT_MAX:
        message = (
            f"{VARIABLE} is {text!r}; it must be like tcp:8080, http:8080/healthz,"
            f" command:/bin/check or runs, and a port at most {PORT_MAX:,}"
        )
        raise RuntimeFailedError(message)
    return found


def _check(text: str) -> Check | None:
    if text == "runs":
        return Check()
    if tcp := _TCP.fullmatch(text):
        return Check("tcp", int(tcp[1]))
    if http := _HTTP.fullmatch(text):
        return Check("http", int(http[1]), http[2] or "/")
    if command := _COMMAND.fullmatch(text):
        return Check("command", command=tuple(shlex.split(command[1])))
    return None
