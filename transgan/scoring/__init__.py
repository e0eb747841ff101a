"""The stages of scoring (`reference`, `classifier`, `score`) and its tools (`evaluate`, `sample`).

The library `transgan.metrics` computes everything.
"""
