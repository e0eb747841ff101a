"""Translates the names of tensors between the authors' modules and this project's (docs/paper.md 4.1 to 4.5)."""

import re
from collections.abc import Iterable

# Buffers that follow from the shapes or serve augmentation, and a layer that the first version declares and never uses.
IGNORED = re.compile(r"(^|\.)(relative_position_index|Hz_\w+)$|^(module\.)?to_rgb\.")

# Applied one after the other.
RENAMED = (
    (r"^module\.", ""),
    (r"^pos_embed_(\d+)$", lambda match: f"stages.{int(match[1]) - 1}.position"),
    (r"^l1\.", "project."),
    (r"^embed_pos$", "embed.position"),
    (r"^embedding_transform\.", "embed.project."),
    (r"^deconv\.0\.", "to_rgb."),
    (r"^cls_token$", "class_token"),
    (r"^fRGB_(\d+)\.", lambda match: f"patches.{int(match[1]) - 1}."),
    (r"^last_block\.0\.", "last_block."),
    (r"norm(\d?)\.norm\.", r"norm\1."),
    (r"\.attn\.", ".attention."),
    (r"\.relative_position_bias_table$", ".relative_table"),
    (r"\.noise_strength_1$", ".noise_strength"),
    (r"\.([qkv])_transform\.", lambda match: f".{ {'q': 'query', 'k': 'key', 'v': 'value'}[match[1]] }."),
    (r"\.mlp\.fc1\.", ".expand."),
    (r"\.mlp\.fc2\.", ".contract."),
)

# The blocks of a stage are called
# - generators: `blocks_2.block.0`; at 32 pixels `blocks.block.0` and `upsample_blocks.0.block.0`,
# - discriminators: `blocks_2.0`, and a second group of blocks of the same stage `blocks_21.0`.
BLOCK = re.compile(
    r"^(?:(?P<first>blocks)|upsample_blocks\.(?P<upsampled>\d+)|blocks_(?P<stage>\d)(?P<second_group>1?))"
    r"\.(?:block\.)?(?P<index>\d+)\."
)


class Translation:
    """From released names to this project's, for the keys of one state dict."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.second_group: set[str] = set()  # blocks of second groups, `stages.<stage>.blocks.<index>`
        self._first_group_sizes: dict[int, int] = {}  # stage -> number of blocks
        for key in keys:
            block = BLOCK.match(key.removeprefix("module."))
            if block and not block["second_group"]:
                size = max(self._first_group_sizes.get(_stage(block), 0), int(block["index"]) + 1)
                self._first_group_sizes[_stage(block)] = size

    def translate(self, key: str) -> str:
        """This project's name for a released one."""
        name = key
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        block = BLOCK.match(name)
        if not block:
            return name
        stage, index = _stage(block), int(block["index"])
        if block["second_group"]:
            index += self._first_group_sizes.get(stage, 0)
            self.second_group.add(f"stages.{stage}.blocks.{index}")
        return f"stages.{stage}.blocks.{index}.{name[block.end() :]}"


def released_name(name: str) -> str:
    """The released name of a tensor that every family has; other names are returned unchanged."""
    released = {
        "project.weight": "l1.weight",
        "to_rgb.weight": "deconv.0.weight",
        "class_token": "cls_token",
        "head.weight": "head.weight",
    }
    if match := re.match(r"stages\.(\d+)\.position", name):
        return f"pos_embed_{int(match[1]) + 1}"
    if match := re.match(r"patches\.(\d+)\.weight", name):
        return f"fRGB_{int(match[1]) + 1}.weight"
    return released.get(name, name)


def _stage(block: re.Match[str]) -> int:
    """Index of a block's stage, from 0."""
    if block["first"]:
        return 0
    return int(block["upsampled"]) + 1 if block["upsampled"] else int(block["stage"]) - 1
