"""Zips, tars and folders: their members (containers), safety checks (checks), and parallel reading (byte_ranges)."""
