"""Data: fetch, archive readers, packed uint8 arrays."""
