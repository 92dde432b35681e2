"""Containers as processes: runc runs them, each with a disk of its own and a shim beside it."""
