"""The cost of a run before it starts.

`estimate` counts FLOPs and memory, `counts` stores them, `budget` computes hours and disk space, and `calibrate`
measures the speed of this device.
"""
