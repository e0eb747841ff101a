"""Grid self-attention and its alternatives: which tokens of a map attend to each other (paper section 3.2).

Standard, grid and axis attention differ only in the tile inside which tokens attend to each other: the whole map, a
square, a row or a column. A `Tiling` reorders the tokens so that those of a tile are consecutive. Attention is then
dense within each run of `Tiling.length` tokens. Nystrom attention approximates attention over the whole map.

The module that attends is `SelfAttention` in attention.py; the blocks of a stage share tilings in blocks.py.
"""

from dataclasses import dataclass

from torch import Tensor

from transgan.schema.model import Attention, Blocks


@dataclass(frozen=True)
class Tiling:
    """Non-overlapping tiles of (height, width) tokens on a (side, side) map.

    In raster order the tokens follow each other row by row. In tile order the tokens of each tile are consecutive.
    """

    side: int
    height: int
    width: int

    @property
    def length(self) -> int:
        """Number of tokens in a tile."""
        return self.height * self.width

    def to_tiles(self, x: Tensor) -> Tensor:
        """Reorder tokens (B, side * side, C) from raster order to tile order."""
        rows, columns = self.side // self.height, self.side // self.width
        # (B, rows, height, columns, width, C) -> (B, rows, columns, height, width, C)
        return x.reshape(len(x), rows, self.height, columns, self.width, -1).transpose(2, 3).reshape(x.shape)

    def to_raster(self, x: Tensor) -> Tensor:
        """Reorder tokens (B, side * side, C) from tile order to raster order."""
        rows, columns = self.side // self.height, self.side // self.width
        # (B, rows, columns, height, width, C) -> (B, rows, height, columns, width, C)
        return x.reshape(len(x), rows, columns, self.height, self.width, -1).transpose(2, 3).reshape(x.shape)


@dataclass(frozen=True)
class AttentionPattern:
    """How the tokens of one block attend: within each tile, or, with `landmarks`, approximately over the whole map."""

    tiling: Tiling
    landmarks: int | None = None


def attention_patterns(groups: tuple[Blocks, ...], wide: Attention, side: int) -> list[AttentionPattern]:
    """Pattern of every block of a stage with (side, side) tokens, in order.

    `wide` is the network's setting for blocks with `attention: wide`. Axis attention alternates between rows and
    columns, starting with rows (docs/paper.md 1.4).
    """
    return [_pattern(group.resolve(wide), index, side) for group in groups for index in range(group.depth)]


def _pattern(config: Attention, index: int, side: int) -> AttentionPattern:
    whole_map = Tiling(side, side, side)
    match config.attention:
        case "standard":
            return AttentionPattern(whole_map)
        case "grid":
            window = min(config.window or side, side)
            return AttentionPattern(Tiling(side, window, window))
        case "axis":
            return AttentionPattern(Tiling(side, 1, side) if index % 2 == 0 else Tiling(side, side, 1))
        case "nystrom":
            return AttentionPattern(whole_map, min(config.landmarks, side * side))
