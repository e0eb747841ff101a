"""Metrics as a library: FID, IS, KID, precision and recall, with their extractors, samples, image sources and reference statistics."""
