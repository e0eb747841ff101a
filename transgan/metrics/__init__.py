"""Metrics as a library: extractors, FID, IS, KID, precision and recall, samples, reference statistics."""
