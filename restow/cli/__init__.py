"""The command line: `restow <noun> <verb> [NAME...] [flags]`."""

import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from domain.problems import Exit
from restow.cli.app import app
from restow.cli.exits import EndedError, ProblemError, UsageError
from restow.cli.output import explain, say
from restow.settings import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; nothing but a bug is raised."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing is left to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _run(words: list[str]) -> int:
    try:
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _wrong(str(error), _help_for(error))
    except (UsageError, SettingsError) as error:
        return _wrong(str(error), "")
    except ProblemError as error:
        explain(error.problem)
        return EXIT_OF_STATUS[error.problem.status]
    except EndedError as error:
        return error.code
    return int(code or Exit.DONE)
