"""What a regularizer may use, and the gradient of D with respect to its input."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from transgan.models import double_backward
from transgan.training.augmentation import Augmentation
from transgan.training.random_inputs import DiscriminatorInputs, GeneratorInputs


@dataclass
class Context:
    """The networks and one micro-batch: b images (b, 3, H, W) out of the `batch` images of the global batch.

    In a generator step `real` is the micro-batch's share of the `real_batch` images of the discriminator step before.
    """

    generator: nn.Module
    discriminator: nn.Module
    augmentation: Augmentation
    inputs: DiscriminatorInputs | GeneratorInputs
    batch: int
    group: int  # images per batch group
    fake: Tensor | None = None
    real: Tensor | None = None
    real_logits: Tensor | None = None  # (b,)
    # (b,) D's mean over the batch group of every real image, if micro-batches or processes split the groups.
    group_means: Tensor | None = None
    real_batch: int = 0
    bfloat16: bool = False  # the recipe's forward passes use autocast to bfloat16
    bfloat16_penalty: bool = False  # so do the passes of D that are differentiated twice
    compiled: bool = False  # the step is compiled: gradients that are differentiated again come from torch.func
    # Moving averages of the term's statistics before this step, by the names in STATISTICS.
    state: dict[str, Tensor] = field(default_factory=dict)
    # The term's statistics, set by the term: this micro-batch's share of each.
    statistics: dict[str, Tensor] = field(default_factory=dict)

    def input_gradient(self, images: Tensor, copy: int, augmented: bool = False) -> Tensor:
        """Gradient (b, 3, H, W) of D(augmentation(images)) with respect to the images. Can be differentiated once more.

        `copy` selects the random inputs: REAL, FAKE or INTERPOLATED. `augmented`: with respect to the augmented images
        instead. In float32, also under autocast; with `bfloat16_penalty` D itself is under autocast.
        """
        noise, augment = (
            None if numbers is None else numbers[copy] for numbers in (self.inputs.noise, self.inputs.augment)
        )
        with torch.autocast(images.device.type, enabled=False):
            images = images.detach().float()
            if augmented:
                images, augment = self.augmentation(images, augment), None
            if self.compiled:
                parameters: dict[str, Tensor] = dict(self.discriminator.named_parameters())

                def total(images: Tensor) -> Tensor:
                    arguments = (self.augmentation(images, augment), noise)
                    with double_backward(), self._penalty_autocast():
                        logits: Tensor = functional_call(self.discriminator, parameters, arguments)
                    return logits.float().sum()

                gradient: Tensor = torch.func.grad(total)(images)
                return gradient
            images.requires_grad_(True)
            with double_backward(), self._penalty_autocast():
                logits = self.discriminator(self.augmentation(images, augment), noise)
            return torch.autograd.grad(logits.float().sum(), images, create_graph=True)[0]

    def _penalty_autocast(self) -> torch.autocast:
        return torch.autocast(self.inputs.z.device.type, torch.bfloat16, enabled=self.bfloat16_penalty)
