"""A region of real hosts on one machine: network namespaces instead of machines, all else real."""
