"""normlab's parts of Hydra, which finds sweepers and launchers in this namespace only."""
