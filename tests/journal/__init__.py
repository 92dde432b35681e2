"""The journal, on a real server."""
