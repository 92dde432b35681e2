"""The dashboard in a real browser, over a whole region: bus, engine, simulated hosts, read side."""
