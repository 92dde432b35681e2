"""How Restow is tried: examples, properties, simulated worlds, and guards of the rooms."""
