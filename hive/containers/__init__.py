"""Where an agent's CLI runs: a port, a contract, and one file a driver."""
