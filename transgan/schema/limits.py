"""Upper limits of whole numbers in params.yaml, far above what any network or machine needs.

They exist so that a slip of the keyboard, such as some zeros too many, is one line at once and not an hour of work that
ends without memory.
"""

LARGEST_SIDE = 4096  # pixels or tokens along one side of an image or a map
LARGEST_WIDTH = 65_536  # channels, latents, heads
LARGEST_BASE = 2**24  # channels x side of StyleGAN2
MOST_BLOCKS = 1000  # blocks, layers, ratios, steps per step
LARGEST_BATCH = 1_000_000  # images
MOST_DEVICES = 4096  # devices, threads
MOST_SNAPSHOTS = 10_000  # snapshots, epochs, splits
MOST_SAMPLES = 1_000_000_000  # generated or reference images
