"""Networks: attention, blocks, generator, discriminator, and the authors' checkpoints."""
