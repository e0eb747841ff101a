"""What runs cost: FLOPs and memory counted, hours and disk planned, the device measured."""
