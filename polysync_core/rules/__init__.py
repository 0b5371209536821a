"""Pure rules. They take values and return values. Nothing here reads a clock, the environment or the network."""
