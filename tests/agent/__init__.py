"""Agents: what they owe, what they remember, and what happens when they die."""
