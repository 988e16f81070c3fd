"""The kernel: supervised actors on Trio.

It imports the standard library, trio, attrs and outcome, and nothing of hive's.
Its public face is `hive.actors`; import from there.
"""
