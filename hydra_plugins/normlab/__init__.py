"""normlab's Hydra plugins; Hydra looks for sweepers and launchers only in this namespace."""
