"""Networks of environments over hosts that are network namespaces of this machine."""
