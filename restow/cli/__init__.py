"""The command line: `restow <noun> <verb> [NAME...] [flags]`."""

import os
import sys
from collections.abc import Sequence

from cyclopts.exceptions import CycloptsError, UnusedCliTokensError

from domain.problems import EXIT_OF_STATUS, Exit
from restow.cli.app import app
from restow.cli.exits import EndedError, ProblemError, UsageError
from restow.cli.output import explain, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; only a bug is raised."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing is left to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return code


def _run(words: list[str]) -> int:
    try:
        code = app(
            words,
            exit_on_error=False,
            print_error=False,
            help_on_error=False,
            result_action="return_value",
        )
    except UnusedCliTokensError as error:
        command = " ".join(("restow", *(error.command_chain or ())))
        return _wrong(f"{command} takes no {' '.join(error.unused_tokens or ())!r}", command)
    except CycloptsError as error:
        return _wrong(str(error), " ".join(("restow", *(error.command_chain or ()))))
    except UsageError as error:
        return _wrong(str(error), " ".join(("restow", *app.parse_commands(words)[0])))
    except ProblemError as error:
        explain(error.problem)
        return EXIT_OF_STATUS[error.problem.status]
    except EndedError as error:
        return error.code
    return code if isinstance(code, int) else Exit.DONE


def _wrong(why: str, command: str = "restow") -> Exit:
    """Say what is wrong with what was typed."""
    first, *others = why.strip().splitlines()
    say("\n".join([f"error: {first}", *(f"  {line}" for line in others)]))
    say(f"  try   {command} --help")
    return Exit.USAGE
