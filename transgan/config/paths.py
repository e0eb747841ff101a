"""Every path of a scale, relative to the project's root. No other module composes them."""

from pathlib import Path
from typing import Literal

from transgan.config.reference_key import ReferenceKey

StageName = Literal["fetch", "prepare", "reference", "classifier", "train", "score", "table", "cells", "figure"]

# What a stage runs for: the name of a dataset, classifier, run, table or figure, or the key of a reference.
StageSubject = str | ReferenceKey

# Files in the folder of a dataset.
SOURCE = "source.json"
IMAGES, LABELS, MANIFEST, CONTACT = "images.npy", "labels.npy", "manifest.json", "contact.png"


class Paths:
    """Every path of one scale, relative to the project's root."""

    def __init__(self, scale: str) -> None:
        self.scale = scale
        self.results = Path("results") / scale
        self.state = Path("state") / scale

    def data(self, dataset: str) -> Path:
        """Folder of a dataset: source.json, and the pack (images.npy, labels.npy, manifest.json, contact.png)."""
        return Path("data") / self.scale / dataset

    def reference(self, key: ReferenceKey) -> Path:
        """Reference statistics and features."""
        return self.results / "reference" / f"{key}.npz"

    def published_statistics(self, file: str) -> Path:
        """Imported statistics that others published under the name `file`. All scales share them."""
        return Path("data/archives/statistics") / file

    def classifier(self, name: str) -> Path:
        """Weights of a digit classifier."""
        return self.results / "classifiers" / f"{name}.safetensors"

    def run(self, run: str) -> Path:
        """Folder with the results of a training run."""
        return self.results / "runs" / run

    def score(self, run: str) -> Path:
        """Scores of a run."""
        return self.results / "scores" / f"{run}.json"

    def metrics(self, run: str) -> Path:
        """Means over evaluation seeds of a run's scores, as plain numbers: the file that `dvc metrics` shows."""
        return self.results / "metrics" / f"{run}.json"

    def table(self, table: str) -> Path:
        """A table, without its suffix (csv, md, tex)."""
        return self.results / "tables" / table

    @property
    def cells(self) -> Path:
        """All cells of all tables of scores, in one file."""
        return self.results / "cells.csv"

    def figure(self, figure: str) -> Path:
        """A figure, without its suffix (png, pdf)."""
        return self.results / "figures" / figure

    def workspace(self, stage: StageName, subject: StageSubject, fingerprint: str) -> Path:
        """State folder, where a costly stage works and stores its finished result. All scales share those of packs."""
        if stage == "prepare":
            return self.store(stage) / fingerprint
        return self.store(stage) / self.scale / stage / str(subject) / fingerprint

    def store(self, stage: StageName) -> Path:
        """The folder that contains a stage's state folders, for all scales and params files."""
        return Path("data/store") if stage == "prepare" else self.state.parent

    @property
    def resolved(self) -> Path:
        """Folder with the resolved configuration of every stage, on which DVC's stages depend."""
        return self.results / "config"

    def resolved_config(self, stage: StageName, name: str) -> Path:
        """The resolved configuration of one stage."""
        return self.resolved / stage / f"{name}.json"

    def finding(self, name: str) -> Path:
        """A table or figure of findings, without its suffix; no stage of the two front-ends makes it."""
        return self.results / "findings" / name

    def config(self, stage: StageName, name: str) -> Path:
        """The file that makes a changed fingerprint visible to Snakemake (workflow/rules/common.smk)."""
        return self.state / "config" / stage / f"{name}.json"
