"""How a command ends when it did not do what was asked: what is said, and with which exit code."""

from domain.problems import Exit, Problem


class UsageError(Exception):
    """What was typed cannot be read; the message says why, and what would be right."""


class ProblemError(Exception):
    """Restow said no, or could not be asked; the problem says why, with numbers and a way on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem


class EndedError(Exception):
    """The command is over and has said all there is to say; only its exit code is left."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code.name)
        self.code = code
