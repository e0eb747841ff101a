"""The tools of the command line that print something, one module each."""
