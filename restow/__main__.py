"""`python -m restow` is `restow`."""

import sys

from restow.cli import main

if __name__ == "__main__":
    sys.exit(main())
