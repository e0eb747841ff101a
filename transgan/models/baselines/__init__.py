"""The convolutional GANs that the paper compares with: WGAN-GP, SN-GAN's discriminator, AutoGAN, StyleGAN2."""
