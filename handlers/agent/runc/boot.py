"""The switch of a host whose machine may have started anew since it was armed."""

from pathlib import Path

from handlers.agent.runc.places import Places
from handlers.agent.switch import Switch

BOOT = Path("/proc/sys/kernel/random/boot_id")


def switch_of(places: Places) -> Switch:
    """Return the switch; what was armed before the machine started anew says nothing any more."""
    boot, path = places.data / "boot", places.data / "switch"
    now = BOOT.read_text()
    if not boot.is_file() or boot.read_text() != now:
        path.unlink(missing_ok=True)
        boot.write_text(now)
    return Switch(path)
