"""The library's own test cases, for `test_conformance.py` to derive from.

They are kept out of that module's names, or pytest would collect the bases too. Importing them
resets the warnings filters of the process, which is undone here.
"""

import warnings

with warnings.catch_warnings():
    from eventsourcing.tests import application, persistence, projection

__all__ = ["application", "persistence", "projection"]
