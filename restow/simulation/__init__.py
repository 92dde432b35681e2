"""Simulated worlds: the real region amid hosts, agents and messages that go wrong, from a seed."""
