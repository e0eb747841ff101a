"""Snapshots of a run at chosen image counts, for dynamics.npz: samples, attention distances, FID."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transgan.metrics.samples import images_of_latents
from transgan.models.attention_maps import attention_distances, attention_layers
from transgan.schema import RecipeConfig
from transgan.utils import files
from transgan.utils.random import RandomStreams


@dataclass
class Dynamics:
    """The snapshots of one run, all of the same latents. `fid(generator)` measures FID where the recipe asks for it."""

    recipe: RecipeConfig
    z: Tensor  # (latents, latent)
    noise: Tensor | None
    fid: Callable[[nn.Module], float] | None = None
    records: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def of(
        recipe: RecipeConfig,
        generator: nn.Module,
        streams: RandomStreams,
        fid: Callable[[nn.Module], float] | None = None,
    ) -> "Dynamics":
        """No snapshots yet, with latents that follow from the run's seed."""
        latents = recipe.dynamics.latents
        z = streams.normal("dynamics/z", 0, latents, int(generator.latent))  # type: ignore[arg-type]
        width = int(generator.noise_width)  # type: ignore[arg-type]
        return Dynamics(recipe, z, streams.normal("dynamics/noise", 0, latents, width) if width else None, fid)

    def due(self, images: int) -> bool:
        """Whether a snapshot is due after `images` real images."""
        reached = sum(count <= images for count in self.recipe.snapshots)
        return reached > len(self.records)

    def record(self, generator: nn.Module, images: int) -> np.ndarray:
        """Record a snapshot of the moving average after `images` real images; returns samples, uint8 (N, H, W, 3)."""
        samples = images_of_latents(generator, self.z, self.noise)
        measures_fid = self.recipe.snapshots[len(self.records)] in self.recipe.fid_snapshots
        self.records.append(
            {
                "images": images,
                "pictures": torch.from_numpy(samples),
                "attention_distance": attention_distances(generator, self.z, self.noise),
                "fid": self.fid(generator) if self.fid is not None and measures_fid else math.nan,
            }
        )
        return samples

    @property
    def measured_fid(self) -> list[tuple[int, float]]:
        """Image count and FID of the snapshots at which FID was measured, in order."""
        return [(record["images"], record["fid"]) for record in self.records if not math.isnan(record["fid"])]

    def save(self, path: Path, generator: nn.Module) -> None:
        """Write dynamics.npz with one entry per snapshot.

        images (P,); pictures (P, N, H, W, 3); attention_distance (P, layers, heads) in pixels;
        attention_layers (layers,), the names of the layers; fid (P,), NaN where it was not measured.
        """
        arrays = {
            "images": np.array([record["images"] for record in self.records], dtype=np.int64),
            "pictures": np.stack([record["pictures"].numpy() for record in self.records]),
            "attention_distance": np.stack([record["attention_distance"].numpy() for record in self.records]),
            "attention_layers": np.array([name for name, _ in attention_layers(generator)], dtype=np.str_),
            "fid": np.array([record["fid"] for record in self.records]),
        }
        with files.atomic(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
