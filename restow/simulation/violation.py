"""What is found wrong with a world: a promise that was not kept, or code that broke."""

WENT_WRONG = (
    AssertionError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""How a world that is wrong ends: with a violation, or with a bug that raised something else."""


class ViolationError(AssertionError):
    """A world is not as it must be; the text ends with what happened before."""
