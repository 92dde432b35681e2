"""The audit: every fact once, in its place, and every aggregate as it was after any version."""
