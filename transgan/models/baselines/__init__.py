"""The convolutional GANs that the paper compares with."""
