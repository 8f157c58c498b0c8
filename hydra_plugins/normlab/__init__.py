"""normlab's sweeper and launchers for Hydra, which finds plugins only in the package `hydra_plugins`."""
