"""The network of real containers: each environment has one of its own, and no way out of it."""
