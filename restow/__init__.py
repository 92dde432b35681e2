"""The front door, and the only place that knows both sides: command line, settings, wiring."""
