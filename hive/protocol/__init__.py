"""What hive's parts say to each other and to its store, as frozen values.

This package is pure: no Trio, no SQL, no sockets.  It keeps one rule: everything that can be asked of
hive is a `Command` here, whoever asks, so the page, the command line, an agent's tool call and a test
all travel the same road.
"""
