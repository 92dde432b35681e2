"""A machine is examined: what it can do, what it lacks, and how that is had."""
