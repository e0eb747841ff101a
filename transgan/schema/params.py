"""The whole of params.yaml: named entries, runs that combine them, and scales that change values inside entries."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator

from transgan.schema.base import Strict, added_option
from transgan.schema.data import DatasetConfig
from transgan.schema.model import ModelConfig
from transgan.schema.protocol import ClassifierConfig, ProtocolConfig
from transgan.schema.recipe import RecipeConfig
from transgan.schema.report import FigureConfig, TableConfig
from transgan.utils.secrets import learn

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Change = dict[str, Any]
Device = Literal["auto", "cpu", "cuda"]
LogModel = Literal["link", "copy", "none"]  # YAML reads `off` as false


class Changes(Strict):
    """What a run changes in its model and recipe; dicts merge, lists replace."""

    model: Change = Field(default_factory=dict)
    recipe: Change = Field(default_factory=dict)


class RunAtScale(Changes):
    """What a scale changes in a run, and whether it makes it at all."""

    skip: bool = Field(
        False,
        description="leaves the run out at this scale; its cells show so, and `transgan train` can still train it",
    )


class RunConfig(Strict):
    """A run: names of its dataset, model, recipe and protocol, its seed, and what it changes in them."""

    dataset: Name
    model: Name
    recipe: Name
    protocol: Name
    seed: int = Field(0, ge=0)
    changes: Changes = Changes()
    title: str | None = added_option(None, description="its name in figures, where no row of a table names it")


class Scale(Strict):
    """Changed values inside entries. Every name is listed, with `{}` if nothing changes, so that DVC can track it."""

    description: str
    comparable: bool = Field(description="whether its scores may be set beside the paper's")
    same_bytes: bool = Field(
        False,
        description="whether stages on a CPU use AVX2 and nothing newer, so that results are the same bytes on every "
        "x86-64 processor that has it; matrix products take about twice the time",
    )
    datasets: dict[Name, Change]
    models: dict[Name, Change]
    recipes: dict[Name, Change]
    protocols: dict[Name, Change]
    classifiers: dict[Name, Change]
    runs: dict[Name, RunAtScale]


ADDRESS_SCHEMES = ("https", "http", "ftp", "file")  # of downloads


class DataConfig(Strict):
    """Where downloads come from and whether packs go to a DVC remote; changes no result."""

    mirror: str | None = Field(None, description="folder or URL of a lab's own copy, tried first")
    push_packs: bool = Field(
        False,
        description="whether `dvc push` and `make restore` transfer packs, which can be tens of GB; `make generate` "
        "writes it into dvc.yaml",
    )

    @field_validator("mirror")
    @classmethod
    def _is_an_address(cls, mirror: str | None) -> str | None:
        if mirror is not None:
            learn(mirror)
        if mirror is not None and "://" in mirror:
            try:
                scheme, _ = urlsplit(mirror).scheme, urlsplit(mirror).port
            except ValueError as error:
                raise ValueError(f"no valid address: {error}") from None
            if scheme not in ADDRESS_SCHEMES:
                raise ValueError(f"{scheme}:// is not read; write a folder, or one of {', '.join(ADDRESS_SCHEMES)}")
        return mirror


class ExecutionConfig(Strict):
    """How work is done where that changes no result: neither front-end tracks it."""

    device: Device = "auto"
    checkpoint_minutes: float = Field(5.0, gt=0, description="most minutes of training that an interruption can cost")
    keep_checkpoints: int = Field(2, ge=1)
    cuda_graphs: bool | Literal["auto"] = Field(
        "auto",
        description="start all kernels of a loss and its gradient at once, on a GPU; auto: if forward passes are small",
    )
    log_model: LogModel = Field(
        "link",
        description="how finished generators get into MLflow: as a hard link where its files are on this machine (none "
        "on a server), as a copy, or not at all",
    )


class Params(Strict):
    """params.yaml."""

    scale: Name = Field(description="the scale that DVC runs, and the default everywhere else")
    data: DataConfig = DataConfig()
    execution: ExecutionConfig = ExecutionConfig()
    scales: dict[Name, Scale] = Field(description="what each scale changes in the entries below; it lists every name")
    datasets: dict[Name, DatasetConfig] = Field(
        description="where images come from, and how they are cropped, resized and split"
    )
    models: dict[Name, ModelConfig] = Field(description="pairs of a generator and a discriminator, stage by stage")
    recipes: dict[Name, RecipeConfig] = Field(
        description="how a run is trained: losses, optimizers, augmentation, length, precision"
    )
    protocols: dict[Name, ProtocolConfig] = Field(
        description="how a run is scored: metrics, samples, reference images, extractor"
    )
    classifiers: dict[Name, ClassifierConfig] = Field(
        description="what stands in for Inception at demo: a classifier of digits"
    )
    runs: dict[Name, RunConfig] = Field(description="a dataset, a model, a recipe, a protocol and a seed, each by name")
    tables: dict[Name, TableConfig] = Field(description="rows and columns, and the runs behind each cell")
    figures: dict[Name, FigureConfig] = Field(description="what is drawn, of which runs")
