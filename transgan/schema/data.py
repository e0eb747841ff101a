"""Configuration of the datasets: where pictures come from and how they become arrays."""

from typing import Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict


class Split(Strict):
    """A named part of a dataset; parts lie one after the other in images.npy, in this order."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    count: int | None = Field(None, ge=1, description="number of pictures it must have; none: whatever is found")
    parts: tuple[str, ...] = Field((), description="which parts of the source it takes; none: the part of its own name")

    @property
    def source_parts(self) -> tuple[str, ...]:
        """The parts of the source that make up this split."""
        return self.parts or (self.name,)


# Of the packing of a dataset (transgan.data.workers).
PROCESSES_FROM = 2000  # pictures
MOST_WORKERS = 8  # one process reads for all of them and feeds no more; each takes about 50 MB


class DatasetConfig(Strict):
    """A dataset: its source, and the one way its pictures are cropped, resized and packed."""

    source: Literal["digits", "folder", "cifar10", "stl10", "celeba", "celebahq", "lsun"] = Field(
        description="which reader"
    )
    path: str | None = Field(
        None, description="folder or archive of a `folder` source; relative paths are from the project's root"
    )
    resolution: int = Field(ge=2, description="side of the packed pictures in pixels")
    resize: Literal["lanczos", "bicubic", "bilinear", "box"] = Field("lanczos", description="antialiased filter")
    crop: Literal["none", "center", "face148", "face128", "face108", "landmarks"] = Field(
        "none",
        description="none: the aspect ratio is squashed; center: largest square; CelebA only: faceN, a fixed face square of N pixels, or "
        "landmarks, a square around each face's own five points",
    )
    splits: tuple[Split, ...] = Field(min_length=1, description="what is packed, in order")
    train_splits: tuple[str, ...] = Field(("train",), min_length=1, description="what training sees")
    allow_partial: bool = Field(False, description="accept another number of pictures than the splits say")
    on_error: Literal["fail", "skip"] = Field("fail", description="what a picture that cannot be read does")

    @property
    def packing_workers(self) -> int:
        """Workers that packing it may take: one for a few pictures, MOST_WORKERS for many or an unknown number of them."""
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
            raise ValueError(f"the crop {self.crop!r} is for CelebA's aligned pictures only; use none or center")
        for name in self.train_splits:
            if name not in names:
                raise ValueError(f"train_splits names {name!r}, splits are: {', '.join(names)}")
        if (self.source == "folder") != (self.path is not None):
            raise ValueError("`path` is given with `source: folder`, and only then")
        return self
