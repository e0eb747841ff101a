"""Plots: one module per kind of figure, each drawing from the declared outputs of runs and scores only."""
