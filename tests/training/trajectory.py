"""The authors' short training runs (fixtures/trajectory_*.npz), replayed through this project's training step."""

import copy
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from transgan.models import build_discriminator, build_generator
from transgan.schema import RecipeConfig, TransformerDiscriminator, TransformerGenerator
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import DiscriminatorInputs, GeneratorInputs
from transgan.training.step import Trainer

FIXTURES = Path(__file__).parent / "fixtures"

# Names in the released modules -> names here, tried in order.
BLOCK_NAMES = [
    (r"norm([12])\.norm\.", r"norm\1."),
    (r"attn\.relative_position_bias_table", "attention.relative_table"),
    (r"attn\.noise_strength_1", "attention.noise_strength"),
    (r"attn\.", "attention."),
    (r"mlp\.fc1", "expand"),
    (r"mlp\.fc2", "contract"),
]
GENERATOR_NAMES = [
    (r"^pos_embed_(\d)$", lambda m: f"stages.{int(m[1]) - 1}.position"),
    (r"^l1\.", "project."),
    (r"^blocks\.block\.", "stages.0.blocks."),
    (r"^upsample_blocks\.(\d)\.block\.", lambda m: f"stages.{int(m[1]) + 1}.blocks."),
    (r"^deconv\.0\.", "to_rgb."),
    *BLOCK_NAMES,
]
DISCRIMINATOR_NAMES = [
    (r"^cls_token$", "class_token"),
    (r"^pos_embed_(\d)$", lambda m: f"stages.{int(m[1]) - 1}.position"),
    (r"^fRGB_(\d)\.", lambda m: f"patches.{int(m[1]) - 1}."),
    (r"^blocks_(\d)\.", lambda m: f"stages.{int(m[1]) - 1}.blocks."),
    (r"^last_block\.0\.", "last_block."),
    (r"^norm\.norm\.", "norm."),
    *BLOCK_NAMES,
]


class Recorded:
    """One of the two recorded runs."""

    def __init__(self, name: str, device: torch.device | str = "cpu") -> None:
        self.device = device
        with np.load(FIXTURES / f"trajectory_{name}.npz") as file:
            self.arrays = {key: file[key] for key in file.files}
        self.config: dict[str, Any] = json.loads(str(self.arrays["config"]))
        self.steps = len(self.arrays["real"])

    def recipe(self, **changes: Any) -> RecipeConfig:
        config = self.config
        adam = {"lr": config["lr"], "betas": config["betas"], "clip_norm": config["clip"]}
        return RecipeConfig.model_validate(
            {
                "images": 8 * self.steps,
                "batch": 8,
                "generator_batch": 12,
                "n_critic": config["n_critic"],
                "regularizers": {
                    "gradient_penalty": {"kind": "gradient_penalty", "weight": config["gp_weight"]},
                    "drift": {"kind": "drift", "weight": config["drift"]},
                },
                "discriminator": adam,
                "generator": adam,
                "ema": {"kimg": config["ema_kimg"], "warmup": config["ema_warmup"]},
                "leak_generator_gradient": config["leak"],
                **changes,
            }
        )

    def nets(self) -> tuple[nn.Module, nn.Module]:
        generator = build_generator(
            TransformerGenerator.model_validate(
                {"latent": 32, "width": 64, "bottom_width": 8, "stages": [{"blocks": [{"depth": 1}]}] * 3}
            )
        )
        stages = [{"share": 0.75, "blocks": [{"depth": 1}]}, {"share": 0.25, "blocks": [{"depth": 1}]}]
        discriminator = build_discriminator(
            TransformerDiscriminator.model_validate({"width": 64, "patch": 2, "stages": stages}), 32
        )
        generator.load_state_dict(self.state("initial", "generator", generator))
        discriminator.load_state_dict(self.state("initial", "discriminator", discriminator))
        return generator, discriminator

    def state(self, when: str, net: str, module: nn.Module) -> dict[str, torch.Tensor]:
        """Recorded weights with the names and shapes of this project's modules."""
        prefix = f"{when}/{net}/"
        names = DISCRIMINATOR_NAMES if net == "discriminator" else GENERATOR_NAMES
        shapes = {key: value.shape for key, value in module.state_dict().items()}
        state = {}
        for key, value in self.arrays.items():
            if key.startswith(prefix):
                name = key.removeprefix(prefix)
                for pattern, replacement in names:
                    name = re.sub(pattern, replacement, name)
                state[name] = torch.from_numpy(value.astype(np.float32)).reshape(shapes[name])
        return state

    def trainer(self, process_group: ProcessGroup | None = None, **changes: Any) -> Trainer:
        generator, discriminator = self.nets()
        nets = [net.to(self.device) for net in (generator, discriminator, copy.deepcopy(generator))]
        return Trainer(self.recipe(**changes), *nets, process_group or ProcessGroup())

    def advance(self, trainer: Trainer) -> dict[str, float]:
        """One step on the recorded images and latents; returns what it measured."""
        step = trainer.step
        numbers = {key: self.arrays[key][step].astype(np.float32) for key in ("real", "z", "alpha", "gz")}
        tensor = {key: torch.from_numpy(array).to(self.device) for key, array in numbers.items()}
        width = trainer.discriminator.noise_width
        inputs = DiscriminatorInputs(
            z=tensor["z"], alpha=tensor["alpha"].view(8, 1, 1, 1), noise=torch.zeros(3, 8, width, device=self.device)
        )
        trainer.meter.clear()
        generator_inputs = GeneratorInputs(tensor["gz"], noise=torch.zeros(12, width, device=self.device))
        recorded = SimpleNamespace(discriminator=lambda _: inputs, generator=lambda _: generator_inputs)
        trainer.training_step(tensor["real"][trainer.process_group.rows(8)], recorded)
        return trainer.meter.means()

    def check(self, trainer: Trainer, tolerance: float = 1e-4, outliers: float = 0.0) -> None:
        """Replay the whole run and compare every loss and every final weight with the recorded ones.

        `outliers`: the share of a network's weights that may differ by more. Adam divides a gradient by its own size,
        so where it is nothing but rounding, the weight may go to either side: as far as Adam can go, not farther.
        """
        measured = [self.advance(trainer) for _ in range(self.steps)]
        for key in ("d_loss", "gradient_penalty"):
            np.testing.assert_allclose([row[key] for row in measured], self.arrays[key], atol=tolerance, rtol=0)
        for key in ("g_loss", "ema_beta"):
            np.testing.assert_allclose(
                [row[key] for row in measured if key in row], self.arrays[key], atol=tolerance, rtol=0
            )
        for name, module in (
            ("generator", trainer.generator),
            ("discriminator", trainer.discriminator),
            ("ema", trainer.generator_ema),
        ):
            state, recorded = module.state_dict(), self.state("final", name, module)
            differences = {key: (state[key].cpu() - value).abs() for key, value in recorded.items()}
            # With bias correction and betas (0, b) step t is at most lr * sqrt(t).
            farthest = 2 * self.config["lr"] * sum(step**0.5 for step in range(1, self.steps + 1))
            assert {key: float(x.max()) for key, x in differences.items() if not (x <= farthest).all()} == {}, name
            off = {key: count for key, x in differences.items() if (count := int((x > tolerance).sum()))}
            assert sum(off.values()) <= outliers * sum(x.numel() for x in differences.values()), (name, off)
