"""The tools of the command line that print something: plan, data, clean, doctor and summary, one module each."""
