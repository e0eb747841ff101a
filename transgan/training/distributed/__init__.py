"""One run on several devices: starting its processes, and summing their gradients."""
