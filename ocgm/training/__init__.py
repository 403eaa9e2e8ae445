"""Training: the loop, its step, optimizers, objectives and checkpoints."""
