"""Scoring room: from a generator or any pictures to FID, IS, KID, precision and recall, under a named protocol.

torch-fidelity's extractors and its features-to-metric functions compute everything (paper.md 3.4; toolchain.md C4). This package decides
what goes in (samples, pictures, reference), refuses what would mislead, keeps finished statistics, and says how sure a number is.
"""
