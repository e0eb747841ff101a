"""Configuration of datasets: the source of the images, and how they are cropped, resized and packed."""

from typing import Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict
from transgan.schema.limits import LARGEST_SIDE


class Split(Strict):
    """A named part of a dataset. The splits follow one another in images.npy, in this order."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    count: int | None = Field(None, ge=1, description="number of images that the split must have; none: any number")
    parts: tuple[str, ...] = Field(
        (), description="parts of the source that form the split; none: the part of the same name"
    )

    @property
    def source_parts(self) -> tuple[str, ...]:
        """The parts of the source that form this split."""
        return self.parts or (self.name,)


# For the workers that pack a dataset (transgan.data.workers).
PROCESSES_FROM = 2000  # images; smaller datasets are packed by threads
MOST_WORKERS = 8  # the one process that lists images cannot feed more; each takes about 50 MB


class DatasetConfig(Strict):
    """A dataset: its source, and how its images are cropped, resized and packed."""

    source: Literal["digits", "folder", "cifar10", "stl10", "celeba", "celebahq", "lsun"] = Field(
        description="where the images come from; chooses the reader"
    )
    path: str | None = Field(
        None,
        description="folder, archive or arrays of a `folder` source; a relative path starts at the project's root",
    )
    resolution: int = Field(ge=2, le=LARGEST_SIDE, description="side of the packed images in pixels")
    resize: Literal["lanczos", "bicubic", "bilinear", "box"] = Field("lanczos", description="antialiased filter")
    crop: Literal["none", "center", "face148", "face128", "face108", "landmarks"] = Field(
        "none",
        description="none: squash to a square; center: the largest centred square; CelebA only: faceN, a fixed square"
        " of N pixels, or landmarks, a square around the five landmarks of each face",
    )
    splits: tuple[Split, ...] = Field(min_length=1, description="the splits to pack, in this order")
    train_splits: tuple[str, ...] = Field(("train",), min_length=1, description="the splits to train on")
    allow_partial: bool = Field(False, description="accept other numbers of images than the splits state")
    on_error: Literal["fail", "skip"] = Field("fail", description="what happens when an image cannot be read")

    @property
    def packing_workers(self) -> int:
        """Workers that packing may use: one for a small dataset, MOST_WORKERS for a large or unknown one."""
        counts = [split.count for split in self.splits]
        return 1 if sum(count or PROCESSES_FROM for count in counts) < PROCESSES_FROM else MOST_WORKERS

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [split.name for split in self.splits]
        if len(set(names)) < len(names):
            raise ValueError("two splits have the same name")
        parts = [part for split in self.splits for part in split.source_parts]
        if len(set(parts)) < len(parts):
            raise ValueError("two splits take the same part of the source")
        if self.crop not in ("none", "center") and self.source != "celeba":
            raise ValueError(f"the crop {self.crop!r} is for CelebA's aligned images only; use none or center")
        for name in self.train_splits:
            if name not in names:
                raise ValueError(f"train_splits names {name!r}, splits are: {', '.join(names)}")
        if (self.source == "folder") != (self.path is not None):
            raise ValueError("`path` is given with `source: folder`, and only then")
        return self
