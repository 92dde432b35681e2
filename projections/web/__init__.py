"""The read API: the views over HTTP, their changes as they come, and commands handed on."""
