"""Infers the configuration of a released network from the names and shapes of its tensors.

What they do not determine takes the released value, unless the caller gives it.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transgan.errors import UserError
from transgan.models.official_checkpoints.names import IGNORED, Translation, released_name
from transgan.schema.model import TransformerDiscriminator, TransformerGenerator

# Released values. The window is that of the CelebA-HQ discriminator if its patches overlap.
HEADS, WINDOW, WINDOW_OF_OVERLAPPING_PATCHES = 4, 16, 4

# Keywords of `from_state_dict`, this project's and the authors': the setting, and the network it is for (None: both).
KEYWORDS: dict[str, tuple[str, str | None]] = {
    **{
        name: (name, None)
        for name in ("norm", "heads", "window", "patch", "resolution", "latent", "width", "bottom_width")
    },
    **{
        name: (name.split("_")[1], name.split("_")[0])
        for name in ("generator_norm", "generator_window", "discriminator_norm", "discriminator_window")
    },
    "g_norm": ("norm", "generator"),
    "d_norm": ("norm", "discriminator"),
    "g_window_size": ("window", "generator"),
    "d_window_size": ("window", "discriminator"),
    "gf_dim": ("width", "generator"),
    "df_dim": ("width", "discriminator"),
    "latent_dim": ("latent", "generator"),
    "patch_size": ("patch", "discriminator"),
    "img_size": ("resolution", None),
    "num_heads": ("heads", None),
}
# Arguments of the authors that the names of the tensors determine. They are accepted and ignored.
REDUNDANT = ("g_depth", "d_depth")
NORMS = {"ln": "layer", "pn": "pixel", "layer": "layer", "pixel": "pixel", "none": "none"}


class ReleasedNetwork:
    """A released state dict under this project's names, and what it tells about the architecture."""

    def __init__(self, state: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        self.original: dict[str, str] = {}  # this project's name -> the key in the state dict
        self.tensors: dict[str, Tensor] = {}
        relevant = {str(key): value for key, value in state.items() if not IGNORED.search(str(key))}
        translation = Translation(relevant)
        for key, value in relevant.items():
            name = translation.translate(key)
            self.original[name] = key
            if not isinstance(value, Tensor | np.ndarray):
                raise UserError(f"not a released network: {key} is not a tensor")
            self.tensors[name] = torch.as_tensor(value).float()
        self.second_group = translation.second_group
        self.is_discriminator = "class_token" in self.tensors or "head.weight" in self.tensors
        self.known = _known_settings(known, "discriminator" if self.is_discriminator else "generator")

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor that every family has. Raises UserError if it is missing."""
        if name not in self.tensors:
            first_keys = ", ".join(list(self.original.values())[:3])
            raise UserError(
                f"not a released network: {released_name(name)} is missing; the first keys are {first_keys}"
            )
        return tuple(self.tensors[name].shape)

    def count(self, pattern: str) -> int:
        """Count of the numbers that group 1 of `pattern` takes in the names; if any is missing, the largest + 1."""
        numbers = {int(match[1]) for name in self.tensors if (match := re.match(pattern, name))}
        return len(numbers) if numbers == set(range(len(numbers))) else max(numbers) + 1

    def has(self, pattern: str) -> bool:
        """Whether `pattern` occurs in any name."""
        return any(re.search(pattern, name) for name in self.tensors)

    def side(self, name: str) -> int:
        """Side of the map that a position embedding (1, side^2, C) belongs to. Raises UserError if it is not square."""
        tokens = self.shape(name)[1]
        side = math.isqrt(tokens)
        if side * side != tokens:
            raise UserError(f"not a released network: {released_name(name)} has {tokens} tokens, which is not a square")
        return side

    def norm(self) -> str:
        """layer if there are norm weights, else the known norm, else pixel."""
        return "layer" if self.has(r"\.norm1\.weight$") else str(self.known.get("norm", "pixel"))

    def heads(self) -> int:
        """Columns of a relative position table if there is one, else the known number, else the released one."""
        tables = [tensor for name, tensor in self.tensors.items() if name.endswith(".relative_table")]
        return tables[0].shape[-1] if tables else int(self.known.get("heads", HEADS))

    def mlp_ratio(self) -> int:
        """Ratio of the MLP's hidden width to the width, from the first block."""
        shapes = (tuple(tensor.shape) for name, tensor in self.tensors.items() if name.endswith(".expand.weight"))
        hidden, width = next(shapes, (4, 1))
        return hidden // width

    def blocks(self, stage: int, side: int, window: int | None) -> list[dict[str, Any]]:
        """Configuration of a stage's blocks.

        The windows follow from the relative position tables. Blocks without a table have `window` (None: the whole
        map), except those of a second group, which attend to the whole map.
        """
        groups: list[dict[str, Any]] = []
        for index in range(self.count(rf"stages\.{stage}\.blocks\.(\d+)\.")):
            block_window = self._window(f"stages.{stage}.blocks.{index}", window)
            attention: dict[str, Any] = {"attention": "standard"}
            if block_window is not None and block_window < side:
                attention = {"attention": "grid", "window": block_window}
            if groups and {key: value for key, value in groups[-1].items() if key != "depth"} == attention:
                groups[-1]["depth"] += 1
            else:
                groups.append({"depth": 1, **attention})
        return groups

    def _window(self, block: str, default: int | None) -> int | None:
        table = self.tensors.get(f"{block}.attention.relative_table")
        if table is not None:
            return (math.isqrt(len(table)) + 1) // 2
        return None if block in self.second_group else default


def generator_config(released: ReleasedNetwork) -> TransformerGenerator:
    """The configuration of a released generator. Raises UserError or ValueError if the tensors fit no family."""
    stages = released.count(r"stages\.(\d+)\.position$")
    widths = [released.shape(f"stages.{i}.position")[2] for i in range(max(stages, 1))]
    sides = [released.side(f"stages.{i}.position") for i in range(len(widths))]
    released.shape("to_rgb.weight")
    latent_attention = released.has(r"^embed\.")
    shuffled = [i > 0 and widths[i - 1] == 4 * widths[i] for i in range(len(widths))]
    # Without relative position tables only the 256-pixel generators have grid attention, after a pixel shuffle. They
    # are those with numbered stages.
    numbered = any(key.removeprefix("module.").startswith("blocks_") for key in released.original.values())
    window = int(released.known.get("window", WINDOW))
    config = {
        "latent": released.shape("project.weight")[1],
        "width": widths[0],
        "bottom_width": sides[0],
        "heads": released.heads(),
        "mlp_ratio": released.mlp_ratio(),
        "norm": released.norm(),
        "relative_position": released.has(r"\.relative_table$"),
        "noise": released.has(r"\.attention\.noise_strength$"),
        "latent_attention": latent_attention,
        "stages": [
            {
                "upsample": "pixel_shuffle" if shuffled[i] or i == 0 else "bicubic",
                "blur": latent_attention and shuffled[i] and shuffled[i - 1],
                "blocks": released.blocks(i, sides[i], window if numbered and shuffled[i] else None),
            }
            for i in range(len(widths))
        ],
    }
    return TransformerGenerator.model_validate(config)


def discriminator_config(released: ReleasedNetwork) -> tuple[TransformerDiscriminator, int]:
    """The configuration of a released discriminator, and its resolution in pixels. Raises UserError or ValueError."""
    scales = max(released.count(r"patches\.(\d+)\."), 1)
    embeddings = [released.shape(f"patches.{i}.weight") for i in range(scales)]
    width = released.shape("class_token")[2]
    patch = embeddings[1][2] // 2 if scales > 1 else int(released.known.get("patch", embeddings[0][2]))
    overlapping = embeddings[0][2] == 2 * patch
    sides = [released.side(f"stages.{i}.position") for i in range(scales)]
    # Without relative position tables, grid attention is in the first of three scales, and in stages with a second
    # group.
    window = int(released.known.get("window", WINDOW_OF_OVERLAPPING_PATCHES if overlapping else WINDOW))
    in_tiles = [
        (scales == 3 and i == 0) or any(name.startswith(f"stages.{i}.") for name in released.second_group)
        for i in range(scales)
    ]
    config = {
        "width": width,
        "heads": released.heads(),
        "mlp_ratio": released.mlp_ratio(),
        "norm": released.norm(),
        "patch": patch,
        "overlapping": overlapping,
        "relative_position": released.has(r"\.relative_table$"),
        "noise": released.has(r"\.noise_strength$"),
        "stages": [
            {"share": embeddings[i][0] / width, "blocks": released.blocks(i, sides[i], window if in_tiles[i] else None)}
            for i in range(scales)
        ],
    }
    return TransformerDiscriminator.model_validate(config), sides[0] * patch


def _known_settings(known: Mapping[str, Any], net: str) -> dict[str, Any]:
    """The known settings of one network, under this project's names. Raises UserError for unknown keywords or norms."""
    settings: dict[str, Any] = {}
    for keyword, value in known.items():
        if keyword not in KEYWORDS and keyword not in REDUNDANT:
            raise UserError(f"no keyword {keyword!r}; known: {', '.join(KEYWORDS)}")
        setting, only_for = KEYWORDS.get(keyword, ("", None))
        if setting and value is not None and only_for in (None, net):
            settings[setting] = value
    if "norm" in settings:
        if settings["norm"] not in NORMS:
            raise UserError(f"norm {settings['norm']!r} is none of {', '.join(NORMS)}")
        settings["norm"] = NORMS[settings["norm"]]
    return settings
