"""The machine: its devices, threads and precision, GPU leases, names and memory."""
