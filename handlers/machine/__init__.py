"""What a machine can do that is to be a host: what is there, what is missing, how to get it."""
