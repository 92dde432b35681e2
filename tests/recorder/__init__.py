"""The persistence module of the library `eventsourcing`, against a real server."""
