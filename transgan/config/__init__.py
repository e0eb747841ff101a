"""Reads, checks and resolves params.yaml: runs, fingerprints and paths."""
