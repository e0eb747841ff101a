"""params.yaml, read, checked and resolved: runs, fingerprints and paths."""
