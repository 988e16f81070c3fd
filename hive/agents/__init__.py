"""What a harness drives: one vocabulary of events, one port, one file a backend."""
