"""The command line: the operator's hands.

The rule kept here: it knows the verb table and the page's protocol, and nothing of the daemon; looking at
a hive imports neither its servers nor its agents' protocol.
"""

from hive.cli.main import main

__all__ = ["main"]
