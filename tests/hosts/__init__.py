"""Real containers on this machine, each test in folders, cgroups and namespaces of its own."""
