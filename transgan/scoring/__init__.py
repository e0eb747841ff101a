"""The stages and tools of scoring: from a generator or images to FID, IS, KID, precision and recall, under a named protocol.

Stages: `reference`, `classifier`, `score`. Tools: `evaluate`, `sample`. The library `transgan.metrics` does the computing.
"""
