"""What Restow does: the engine, the journal, the bus, the agents and what they steer."""
