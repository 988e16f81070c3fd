"""A crash test of a real hive: `hive torture`.

A daemon in a process of its own is loaded by every door, killed at random instants, its log cut as a power
cut would, and started again; a book kept outside of it says in the end what must be there.
"""
