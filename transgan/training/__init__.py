"""Training: losses, regularizers, augmentation, EMA, the step, the loop and its checkpoints."""
