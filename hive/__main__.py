"""`python -m hive`."""

import sys

INTERRUPTED = 130

try:
    from hive.cli import main

    status = main()
except KeyboardInterrupt:  # importing takes a while, and whoever ends it wants to see no traceback
    status = INTERRUPTED
sys.exit(status)
