"""Scoring: extractors, protocols, references and scores, all computed by torch-fidelity."""
