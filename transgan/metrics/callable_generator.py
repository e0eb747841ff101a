"""Any function from latents to images as a generator that can be sampled and scored."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from transgan.errors import UserError
from transgan.models.base import GeneratorNetwork


class CallableGenerator(GeneratorNetwork):
    """`function`, a module or not: z (B, latent) -> images (B, 3, H, H) in [-1, 1].

    One image is generated to learn the resolution. Raises UserError if the images are not float and square, with three
    channels.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], latent: int) -> None:
        super().__init__()
        self.function = function  # registered as a submodule if it is a module, so that it moves to devices
        self.latent = latent
        mode = function.training if isinstance(function, nn.Module) else False
        with torch.inference_mode():
            image = self.eval()(torch.zeros(1, latent, device=_device(function)))
        if isinstance(function, nn.Module):
            function.train(mode)
        if image.dim() != 4 or image.shape[1] != 3 or image.shape[2] != image.shape[3] or not image.is_floating_point():
            raise UserError(
                f"the generator's images are {image.dtype} {tuple(image.shape)}; they must be float (B, 3, H, H) in "
                "[-1, 1]"
            )
        self.resolution = int(image.shape[2])

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Images (B, 3, H, H); there is no noise."""
        return self.function(z)


def _device(function: Callable[[Tensor], Tensor]) -> torch.device:
    parameter = next(function.parameters(), None) if isinstance(function, nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device
