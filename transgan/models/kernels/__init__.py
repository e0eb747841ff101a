"""Faster ways to compute what the networks define; every function here has a plain equivalent in torch."""
