"""Which tests one process runs one after the other, where two processes share them.

The rest is shared out as it comes, what comes in the largest pieces first.
"""

from xdist.scheduler.loadscope import LoadScopeScheduling  # type: ignore[import-untyped]

ALONE = "tests/simulation/"
"""Worlds know nothing of each other: each of their tests goes to whoever is free."""
REAL = ("tests/hosts/", "tests/network/", "tests/traffic/", "tests/agent/test_runtime.py")
"""Real containers, namespaces and routers: two tests of them at once would disturb each other."""
EXPLORERS = ("tests/docs/test_stories.py", "tests/contracts/test_catalogue.py")
"""They go every way of the sagas, which takes long and is done once a process."""


def together(nodeid: str) -> str:
    """Return the name of all tests that are to be run by the process that runs this one."""
    file, _, _ = nodeid.partition("::")
    if file.startswith(ALONE):
        return nodeid
    if file.startswith(REAL):
        return REAL[0]
    return EXPLORERS[0] if file in EXPLORERS else file


class Sharing(LoadScopeScheduling):  # type: ignore[misc]  # xdist's types are its own affair
    """Shares tests out by file, but for those that need something else."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)
