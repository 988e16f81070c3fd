"""The Model Context Protocol endpoint of every agent: one address, its own tools, no other identity."""
