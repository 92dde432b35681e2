"""Programs that run in containers of tests: with the standard library, and no more."""
