"""Versions of kernels and programs, compared as numbers."""

import re

Version = tuple[int, ...]

NUMBERS = re.compile(r"\d+(?:\.\d+)+")


def version_in(text: str | None) -> Version | None:
    """Return the first version that is named in a text."""
    found = NUMBERS.search(text or "")
    return None if found is None else tuple(int(part) for part in found[0].split("."))


def dotted(version: Version) -> str:
    return ".".join(map(str, version))
