"""The network, and the norms that it is tried with."""
