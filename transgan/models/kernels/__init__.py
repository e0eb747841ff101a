"""The attention function, and a faster way to compute it where it is differentiated twice."""
