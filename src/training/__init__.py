"""Train and evaluate a network: the loop, its step, optimizers, schedules and penalties."""
