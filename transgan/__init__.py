"""TransGAN (arXiv 2102.07074), reproduced: models, training, scoring and reports behind one command line, `transgan`."""

__version__ = "0.1.0"
