"""Metrics as a library: FID, IS, KID, precision and recall, with extractors, image sources and reference statistics."""
