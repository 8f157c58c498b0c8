"""Training: the loop, one step, optimizers, penalties, evaluation."""
