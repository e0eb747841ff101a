"""The attention function, and a faster way to compute it on a CPU where it is differentiated twice."""
