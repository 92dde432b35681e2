"""The examination of a machine: every check in its order, and which distribution it is."""

from handlers.machine.checks import HOSTING
from handlers.machine.findings import Diagnosis
from handlers.machine.looking import Look
from handlers.machine.moving import MOVING, ROUTING

OS_RELEASE = "/etc/os-release"


def examine(look: Look) -> Diagnosis:
    """Look for all that a host may need. Nothing on the machine is changed."""
    return Diagnosis(
        distribution(look), tuple(check(look) for check in (*HOSTING, *ROUTING, *MOVING))
    )


def distribution(look: Look) -> str:
    """Return what runs here, such as `debian-12`; "unknown" where it does not say."""
    lines = (look.text(OS_RELEASE) or "").splitlines()
    known = dict(line.split("=", 1) for line in lines if "=" in line)
    name, version = (known.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))
    return f"{name}-{version}" if name and version else name or "unknown"
