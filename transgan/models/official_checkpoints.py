"""The authors' checkpoints (VITA-Group/TransGAN) as networks of ours: family, widths, depths and windows are read off names and shapes.

What names and shapes cannot tell takes the released value unless given by keyword: no norm keys mean pixel norm, 4 heads, tiles of 16
(of 4 in the released CelebA-HQ discriminator). Key names of the released modules: docs/paper.md 4.1 to 4.5.
"""

import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from transgan.errors import UserError
from transgan.models.base import DiscriminatorNetwork, GeneratorNetwork
from transgan.models.discriminator import Discriminator
from transgan.models.generator import Generator
from transgan.models.serialization import save_generator
from transgan.schema.model import TransformerDiscriminator, TransformerGenerator
from transgan.utils import files

HEADS, TILE, OVERLAPPING_TILE = 4, 16, 4

# What may be given besides the state: our name of it, by ours and by the authors' names, and the net it is about (none: either).
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
# Of the authors' arguments these say nothing that the names of the state do not say.
REDUNDANT = ("g_depth", "d_depth")
NORMS = {"ln": "layer", "pn": "pixel", "layer": "layer", "pixel": "pixel", "none": "none"}

# Of the weights in a published file, the ones to generate with: the moving average where there is one.
GENERATOR_ENTRIES = ("avg_gen_state_dict", "gen_state_dict")

# Buffers that follow from the shapes or serve augmentation, and a head that the first version declares and never uses.
IGNORED = re.compile(r"(^|\.)(relative_position_index|Hz_\w+)$|^(module\.)?to_rgb\.")

RENAMED = (
    (r"^module\.", ""),
    (r"^pos_embed_(\d+)$", lambda found: f"stages.{int(found[1]) - 1}.position"),
    (r"^l1\.", "project."),
    (r"^embed_pos$", "embed.position"),
    (r"^embedding_transform\.", "embed.project."),
    (r"^deconv\.0\.", "to_rgb."),
    (r"^cls_token$", "class_token"),
    (r"^fRGB_(\d+)\.", lambda found: f"patches.{int(found[1]) - 1}."),
    (r"^last_block\.0\.", "last_block."),
    (r"norm(\d?)\.norm\.", r"norm\1."),
    (r"\.attn\.", ".attention."),
    (r"\.relative_position_bias_table$", ".relative_table"),
    (r"\.noise_strength_1$", ".noise_strength"),
    (r"\.([qkv])_transform\.", lambda found: f".{ {'q': 'query', 'k': 'key', 'v': 'value'}[found[1]] }."),
    (r"\.mlp\.fc1\.", ".expand."),
    (r"\.mlp\.fc2\.", ".contract."),
)

# Blocks of a stage: `blocks_2.block.0` (generators), `blocks.block.0` and `upsample_blocks.0.block.0` (the 32-pixel generator),
# `blocks_2.0` and, further blocks of the same stage, `blocks_21.0` (discriminators).
BLOCK = re.compile(
    r"^(?:(?P<first>blocks)|upsample_blocks\.(?P<upsampled>\d+)|blocks_(?P<stage>\d)(?P<further>1?))\.(?:block\.)?(?P<index>\d+)\."
)


class OfficialDiscriminator(Discriminator):
    """A discriminator with the output shape of the authors' modules."""

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) -> (B, 1)."""
        return super().forward(images, noise)[:, None]


def from_state_dict(state: Mapping[str, Any], **known: Any) -> GeneratorNetwork | DiscriminatorNetwork:
    """A released generator or discriminator, in evaluation mode, from its state dict.

    `state` has the released keys, with or without the prefix `module.`; relative_position_index and Hz_* buffers are ignored. `known`:
    norm (layer, pixel, none), heads, window, patch, resolution, latent, width, bottom_width, or the names of the authors' arguments; a
    value that the state contradicts is refused. Raises UserError naming the first keys that differ when the state fits no released family.
    """
    return _build(_Released(state, known))


def import_official(file: Path, out: Path, **known: Any) -> Path:
    """Write the generator of a checkpoint that the authors published as a generator of ours, and return `out`.

    The moving average is taken where the file has one. `known` as for from_state_dict. Raises UserError in one line for a file that is
    missing, damaged, holds code, or no released generator.
    """
    entry, state = _generator_state(read_checkpoint(file), file)
    try:
        module = from_state_dict(state, **known)
    except UserError as error:
        raise UserError(f"{file}: {entry}: {error}") from None
    if not isinstance(module, Generator):
        raise UserError(
            f"{file}: {entry} holds a discriminator; a checkpoint with one of {', '.join(GENERATOR_ENTRIES)} is needed"
        )
    save_generator(
        out, module, module.config, {"imported": {"entry": entry, "file": file.name, "sha256": files.sha256(file)}}
    )
    return out


def read_checkpoint(file: Path) -> dict[str, Any]:
    """The content of a PyTorch file, tensors and plain values only: nothing in it can run code. Raises UserError."""
    try:
        with torch.serialization.safe_globals(_numpy_scalars()), warnings.catch_warnings(action="ignore"):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{file}: not there; download the authors' checkpoint first (docs/models.md)") from None
    except pickle.UnpicklingError as error:
        # torch's own words go on for a page, and advise to load it unsafely.
        found = re.search(r"(?:GLOBAL|global|class) ([\w.]+)", str(error))
        reason = (
            f"it names {found[1]}, which is code" if found else "its content cannot be read as tensors and plain values"
        )
        raise UserError(f"{file}: refused, damaged or more than weights: {reason}; download it again") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{file}: truncated or not a PyTorch file ({reason}); download it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: holds a {type(content).__name__}, not a checkpoint of the authors")
    return content


def _numpy_scalars() -> list[Any]:
    """best_fid in the published files is a numpy number."""
    import _codecs

    scalar = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(name)) for name in ("float64", "float32", "int64")]
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *dtypes,
        _codecs.encode,
    ]


def _generator_state(content: dict[str, Any], file: Path) -> tuple[str, Mapping[str, Any]]:
    for entry in GENERATOR_ENTRIES:
        if isinstance(content.get(entry), dict):
            return entry, content[entry]
    if any(isinstance(value, Tensor) for value in content.values()):
        return "state", content
    keys = ", ".join(map(str, list(content)[:5])) or "nothing"
    raise UserError(
        f"{file}: has none of {', '.join(GENERATOR_ENTRIES)} (holds {keys}); give a checkpoint that the authors' repository publishes"
    )


class _Released:
    """A state dict with released names: cleaned, renamed to ours, and asked for what it says about the architecture."""

    def __init__(self, state: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        self.original: dict[str, str] = {}
        self.tensors: dict[str, Tensor] = {}
        self.further: dict[str, int] = {}  # our name of a block -> 1 for the further blocks of a stage (blocks_11)
        cleaned = {str(key): value for key, value in state.items() if not IGNORED.search(str(key))}
        offsets = _first_group_sizes(cleaned)
        for key, value in cleaned.items():
            name = self._rename(key, offsets)
            self.original[name] = key
            if not isinstance(value, Tensor | np.ndarray):
                raise UserError(f"no released network: {key} is no tensor")
            self.tensors[name] = torch.as_tensor(value).float()
        self.is_discriminator = "class_token" in self.tensors or "head.weight" in self.tensors
        self.known = _translate(known, "discriminator" if self.is_discriminator else "generator")

    def _rename(self, key: str, offsets: dict[int, int]) -> str:
        name = key
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        found = BLOCK.match(name)
        if not found:
            return name
        stage, index = _stage_of(found), int(found["index"])
        if found["further"]:
            index += offsets.get(stage, 0)
            self.further[f"stages.{stage}.blocks.{index}"] = 1
        return f"stages.{stage}.blocks.{index}.{name[found.end() :]}"

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor that every family has."""
        if name not in self.tensors:
            raise UserError(
                f"no released network: {released_name(name)} is missing; first keys: {', '.join(list(self.original.values())[:3])}"
            )
        return tuple(self.tensors[name].shape)

    def count(self, pattern: str) -> int:
        """Number of different first groups that `pattern` finds among the names, which must be 0, 1, 2 ..."""
        found = {int(match[1]) for name in self.tensors if (match := re.match(pattern, name))}
        return len(found) if found == set(range(len(found))) else max(found) + 1

    def has(self, pattern: str) -> bool:
        """Whether any name matches."""
        return any(re.search(pattern, name) for name in self.tensors)

    def side(self, name: str) -> int:
        """Side of the map that a position embedding (1, side^2, C) is for."""
        tokens = self.shape(name)[1]
        side = math.isqrt(tokens)
        if side * side != tokens:
            raise UserError(f"no released network: {released_name(name)} has {tokens} tokens, which is no square")
        return side

    def norm(self) -> str:
        """layer where there are norm weights, else what is known, else pixel."""
        return "layer" if self.has(r"\.norm1\.weight$") else str(self.known.get("norm", "pixel"))

    def heads(self) -> int:
        """Columns of a relative position table, else what is known, else the released number."""
        tables = [tensor for name, tensor in self.tensors.items() if name.endswith(".relative_table")]
        return tables[0].shape[-1] if tables else int(self.known.get("heads", HEADS))

    def mlp_ratio(self) -> int:
        """Of any block."""
        hidden, width = next(
            (tuple(tensor.shape) for name, tensor in self.tensors.items() if name.endswith(".expand.weight")), (4, 1)
        )
        return hidden // width

    def blocks(self, stage: int, side: int, tile_of_first: int | None) -> list[dict[str, Any]]:
        """Configuration of a stage's blocks: windows from the relative tables or, without, `tile_of_first` for all but its further blocks."""
        groups: list[dict[str, Any]] = []
        for index in range(self.count(rf"stages\.{stage}\.blocks\.(\d+)\.")):
            name = f"stages.{stage}.blocks.{index}"
            table = self.tensors.get(f"{name}.attention.relative_table")
            window = (
                (math.isqrt(len(table)) + 1) // 2
                if table is not None
                else None
                if name in self.further
                else tile_of_first
            )
            form = (
                {"attention": "standard"}
                if window is None or window >= side
                else {"attention": "grid", "window": window}
            )
            if (
                groups
                and {key: groups[-1][key] for key in form} == form
                and groups[-1]["attention"] == form["attention"]
            ):
                groups[-1]["depth"] += 1
            else:
                groups.append({"depth": 1, **form})
        return groups


def _translate(known: Mapping[str, Any], net: str) -> dict[str, Any]:
    """What is known about this net, under our names."""
    translated: dict[str, Any] = {}
    for name, value in known.items():
        if name not in KEYWORDS and name not in REDUNDANT:
            raise UserError(f"no keyword {name!r}; known: {', '.join(KEYWORDS)}")
        ours, about = KEYWORDS.get(name, ("", None))
        if ours and value is not None and about in (None, net):
            translated[ours] = value
    if "norm" in translated:
        if translated["norm"] not in NORMS:
            raise UserError(f"norm {translated['norm']!r} is none of {', '.join(NORMS)}")
        translated["norm"] = NORMS[translated["norm"]]
    return translated


def _stage_of(found: re.Match[str]) -> int:
    if found["first"]:
        return 0
    return int(found["upsampled"]) + 1 if found["upsampled"] else int(found["stage"]) - 1


def _first_group_sizes(state: Mapping[str, Any]) -> dict[int, int]:
    """Stage -> number of its blocks before the further ones."""
    sizes: dict[int, int] = {}
    for key in state:
        found = BLOCK.match(key.removeprefix("module."))
        if found and not found["further"]:
            sizes[_stage_of(found)] = max(sizes.get(_stage_of(found), 0), int(found["index"]) + 1)
    return sizes


def released_name(name: str) -> str:
    """The released name of one of the tensors that every family has."""
    released = {
        "project.weight": "l1.weight",
        "to_rgb.weight": "deconv.0.weight",
        "class_token": "cls_token",
        "head.weight": "head.weight",
    }
    if found := re.match(r"stages\.(\d+)\.position", name):
        return f"pos_embed_{int(found[1]) + 1}"
    if found := re.match(r"patches\.(\d+)\.weight", name):
        return f"fRGB_{int(found[1]) + 1}.weight"
    return released.get(name, name)


def _build(released: _Released) -> GeneratorNetwork | DiscriminatorNetwork:
    try:
        with torch.device("meta"):
            module: Generator | Discriminator
            if released.is_discriminator:
                config, resolution = _discriminator_config(released)
                module = OfficialDiscriminator(config, resolution)
                facts = {**config.plain(), "resolution": resolution}
            else:
                module = Generator(_generator_config(released))
                facts = {**module.config.plain(), "resolution": module.resolution}
        if not released.is_discriminator:
            released.tensors["to_rgb.weight"] = released.tensors["to_rgb.weight"].flatten(1)  # a 1 x 1 convolution
    except (ValidationError, ValueError, IndexError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise UserError(f"no released network: {reason.removeprefix('Value error, ')}") from None
    for name, value in released.known.items():
        if name in facts and facts[name] != value:
            raise UserError(f"{name} is {facts[name]} in the checkpoint, {value} was given")
    _check_keys(released, module)
    module.load_state_dict(released.tensors, assign=True)
    return module.eval()


def _check_keys(released: _Released, module: torch.nn.Module) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    held = {name: tuple(tensor.shape) for name, tensor in released.tensors.items()}
    unexpected = [f"unexpected {released.original[name]}" for name in held if name not in wanted]
    missing = [f"missing {released_name(name)}" for name in wanted if name not in held]
    shapes = [
        f"{released.original[name]} is {held[name]}, expected {wanted[name]}"
        for name in held
        if name in wanted and held[name] != wanted[name]
    ]
    if differences := unexpected + missing + shapes:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise UserError(f"no released network: {'; '.join(differences[:3])}{more}")


def _generator_config(released: _Released) -> TransformerGenerator:
    stages = released.count(r"stages\.(\d+)\.position$")
    widths = [released.shape(f"stages.{i}.position")[2] for i in range(max(stages, 1))]
    sides = [released.side(f"stages.{i}.position") for i in range(len(widths))]
    released.shape("to_rgb.weight")
    latent_attention = released.has(r"^embed\.")
    shuffled = [i > 0 and widths[i - 1] == 4 * widths[i] for i in range(len(widths))]
    # Without relative tables only the numbered stages of the 256-pixel generators, where shuffled, are known to be in tiles.
    numbered = any(key.removeprefix("module.").startswith("blocks_") for key in released.original.values())
    tile = int(released.known.get("window", TILE))
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
                "blocks": released.blocks(i, sides[i], tile if numbered and shuffled[i] else None),
            }
            for i in range(len(widths))
        ],
    }
    return TransformerGenerator.model_validate(config)


def _discriminator_config(released: _Released) -> tuple[TransformerDiscriminator, int]:
    scales = max(released.count(r"patches\.(\d+)\."), 1)
    embeddings = [released.shape(f"patches.{i}.weight") for i in range(scales)]
    width = released.shape("class_token")[2]
    patch = embeddings[1][2] // 2 if scales > 1 else int(released.known.get("patch", embeddings[0][2]))
    overlapping = embeddings[0][2] == 2 * patch
    sides = [released.side(f"stages.{i}.position") for i in range(scales)]
    # Without relative tables: with three scales the first is in tiles, and so are the first blocks of a stage that has further ones.
    tile = int(released.known.get("window", OVERLAPPING_TILE if overlapping else TILE))
    tiled = [
        (scales == 3 and i == 0) or any(name.startswith(f"stages.{i}.") for name in released.further)
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
            {"share": embeddings[i][0] / width, "blocks": released.blocks(i, sides[i], tile if tiled[i] else None)}
            for i in range(scales)
        ],
    }
    return TransformerDiscriminator.model_validate(config), sides[0] * patch
