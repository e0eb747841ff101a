"""The machine: devices and threads, what it is, and how its memory is used."""
