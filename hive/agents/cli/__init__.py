"""Driving the command line of somebody else's agent: its process, its words, its turns."""
