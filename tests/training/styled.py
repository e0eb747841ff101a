"""A StyleGAN2 of a few thousand parameters in training, and a generator that is linear in its styles."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from transgan.models import build_discriminator, build_generator
from transgan.models.base import StyledGenerator
from transgan.schema import ModelConfig, RecipeConfig
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.utils.random import RandomStreams

MODEL = {
    "generator": {
        "family": "stylegan2",
        "resolution": 8,
        "latent": 8,
        "style_width": 8,
        "mapping_depth": 2,
        "channel_base": 64,
        "channel_max": 12,
    },
    "discriminator": {"family": "stylegan2", "channel_base": 64, "channel_max": 12, "deviation_group": 2},
}
REGULARIZERS: dict[str, dict[str, Any]] = {
    "r1": {"kind": "r1", "weight": 0.05, "interval": 2, "own_step": True},
    "path": {
        "kind": "path_length",
        "net": "generator",
        "weight": 2.0,
        "interval": 2,
        "own_step": True,
        "one_in": 2,
        "decay": 0.9,
    },
}


def recipe(**changes: Any) -> RecipeConfig:
    """StyleGAN2's recipe with regularizers every other step."""
    adam = {"lr": 0.002, "clip_norm": None}
    return RecipeConfig.model_validate(
        {
            "images": 64,
            "batch": 8,
            "generator_batch": 8,
            "n_critic": 1,
            "d_loss": "non_saturating",
            "g_loss": "non_saturating",
            "regularizers": REGULARIZERS,
            "discriminator": adam,
            "generator": adam,
            "augment": ["diffaug_color"],
            "ema": {"kimg": 0.05},
            "leak_generator_gradient": False,
            "style_mixing": 0.9,
            **changes,
        }
    )


class Training:
    """A StyleGAN2 trained by the project's own step, on real images and inputs that follow from the step's number."""

    def __init__(self, process_group: ProcessGroup | None = None, **changes: Any) -> None:
        torch.manual_seed(0)
        model = ModelConfig.model_validate(MODEL)
        generator, discriminator = build_generator(model.generator), build_discriminator(model.discriminator, 8)
        with torch.no_grad():
            for name, parameter in generator.named_parameters():
                if name.endswith("noise_strength"):
                    parameter.fill_(0.1)
        config = recipe(**changes)
        self.trainer = Trainer(
            config, generator, discriminator, copy.deepcopy(generator), process_group or ProcessGroup()
        )
        self.streams = RandomStreams(0)
        self.random_inputs = RandomInputs(self.streams, config, self.trainer.augmentation, generator, discriminator)

    def advance(self, steps: int = 1) -> dict[str, float]:
        """Take `steps` steps; returns what the last one measured."""
        trainer = self.trainer
        rows = trainer.process_group.rows(trainer.recipe.batch)
        for _ in range(steps):
            real = self.streams.normal("real", trainer.step, trainer.recipe.batch, 3, 8, 8)[rows] / 2
            trainer.meter.clear()
            trainer.training_step(real, self.random_inputs)
        return trainer.meter.means()


class Linear(StyledGenerator):
    """styles = scale * z; image = the sum over layers of matrix @ style. The Jacobian of the image is the matrices."""

    latent, resolution, styles = 6, 4, 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.matrices = nn.Parameter(torch.randn(3, 48, 2))

    def map(self, z: Tensor) -> Tensor:
        return self.scale * z.view(len(z), 3, 2)

    def synthesize(self, styles: Tensor, noise: Tensor | None = None) -> Tensor:
        return torch.einsum("lpw,blw->bp", self.matrices, styles).view(-1, 3, 4, 4)
