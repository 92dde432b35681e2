"""What Restow knows and decides. Pure: no clock, no dice, no I/O, no waiting."""
