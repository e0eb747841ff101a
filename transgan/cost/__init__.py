"""What a run costs before it starts: FLOPs and memory (estimate, counts), hours and disk space (budget), this device's speed (calibrate)."""
