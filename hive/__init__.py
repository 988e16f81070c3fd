"""hive: a runtime for a swarm of AI coding agents.

Import what you need from the packages below it; this module only says which version it is.
"""

__version__ = "0.1.0"
