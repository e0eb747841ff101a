"""The steps of benchmarks/gpu_session.py, one module each, and what they share."""
