"""``python -m bpnet`` is the command ``bpnet``."""

import sys

from bpnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
