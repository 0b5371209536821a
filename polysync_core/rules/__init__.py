"""Pure rules: values in, values out. Nothing here reads a clock, the environment or the network."""
