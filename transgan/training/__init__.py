"""Training: the stage (train.py), the loop (loop.py) and the step (step.py), with a module for each of their parts."""
