"""One run on several devices: the processes, how they start, and how their gradients become one."""
