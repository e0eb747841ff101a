"""Configuration of scoring: protocols, and the classifier that replaces Inception at demo (docs/paper.md 3.4)."""

from pathlib import PurePath
from typing import Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict
from transgan.schema.limits import LARGEST_BATCH, LARGEST_WIDTH, MOST_DEVICES, MOST_SAMPLES, MOST_SNAPSHOTS

Metric = Literal["is", "fid", "kid", "prc"]

# What decides the features of the generated samples. Protocols that agree in these share one set of features.
SAMPLE_FIELDS = ("extractor", "weights", "feature_layer", "samples", "quantize", "seeds", "precision")


class PublishedStatistics(Strict):
    """Files of mean and covariance that others measured FID against, one per dataset. A user imports them."""

    source: str = Field(min_length=1, description="where the files can be had; printed where one is missing")
    files: dict[str, str] = Field(
        min_length=1, description="dataset -> name of its .npz with mu and sigma, as pytorch-fid and TTUR write them"
    )

    @model_validator(mode="after")
    def _plain_names(self) -> Self:
        for name in self.files.values():
            if not name.endswith(".npz") or PurePath(name).name != name:
                raise ValueError(f"{name!r} must be the name of an .npz file, without a folder")
        return self


class ProtocolConfig(Strict):
    """Everything that changes a score: extractor, layer, counts, splits, quantization and seeds."""

    metrics: tuple[Metric, ...] = Field(("is", "fid"), min_length=1)
    extractor: Literal["inception-v3-compat", "vgg16", "digits"] = Field(
        "inception-v3-compat",
        description="network whose features are compared; vgg16 has no Inception score and layers fc2 and fc2_relu",
    )
    weights: str | None = Field(
        None, description="file of extractor weights; null: the standard ones (downloaded or trained)"
    )
    feature_layer: str = Field("2048", description="layer of FID, KID and precision/recall")
    samples: int = Field(50000, ge=2, le=MOST_SAMPLES, description="number of generated images")
    splits: tuple[str, ...] = Field(("train",), min_length=1, description="splits whose images form the reference")
    reference_samples: int | None = Field(
        None, ge=2, le=MOST_SAMPLES, description="use at most this many reference images, evenly spaced; null: all"
    )
    resize: Literal["none", "lanczos", "bicubic", "bilinear", "box"] = Field(
        "none",
        description="filter that resizes images of a folder or archive to the reference's size; none: refuse others",
    )
    quantize: Literal["truncate", "round"] = Field("truncate", description="conversion of [0, 255] to uint8")
    is_splits: int = Field(10, ge=1, le=MOST_SNAPSHOTS)
    fid_counts: tuple[int, ...] = Field(
        (), description="numbers of samples at which FID is also computed, to extrapolate it; none if empty"
    )
    kid_subsets: int = Field(100, ge=1, le=LARGEST_BATCH)
    kid_subset_size: int = Field(1000, ge=2, le=LARGEST_BATCH)
    prc_neighborhood: int = Field(3, ge=1, le=LARGEST_BATCH)
    prc_samples: int = Field(
        10000,
        ge=2,
        le=MOST_SAMPLES,
        description="use at most this many images of each side, evenly spaced, for precision and recall",
    )
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="evaluation seeds; one score for each")
    allow_few_samples: bool = Field(False, description="compute FID although there are fewer samples than features")
    batch: int = Field(50, ge=1, le=LARGEST_BATCH)
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: int = Field(2, ge=1, le=MOST_DEVICES)
    statistics: PublishedStatistics | None = Field(
        None,
        exclude_if=lambda value: value is None,  # so that it is in no fingerprint of a protocol without it
        description="measure FID against these published statistics, not against the dataset's images; applies to every"
        " run whose protocol takes the same samples",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.statistics is not None and self.metrics != ("fid",):
            raise ValueError("a protocol with `statistics` has `metrics: [fid]`; other metrics need images")
        if "is" in self.metrics and self.extractor == "vgg16":
            raise ValueError("`extractor: vgg16` has no Inception score; leave `is` out of metrics")
        if "kid" in self.metrics and self.kid_subset_size > self.samples:
            raise ValueError(f"kid_subset_size {self.kid_subset_size} is more than samples {self.samples}")
        if "is" in self.metrics and self.is_splits > self.samples:
            raise ValueError(f"is_splits {self.is_splits} is more than samples {self.samples}")
        if len(self.fid_counts) == 1 or any(not 2 <= count <= self.samples for count in self.fid_counts):
            raise ValueError(f"fid_counts must be two or more numbers from 2 to samples {self.samples}, or none")
        return self

    @property
    def stored_features(self) -> bool | int:
        """Features that a reference must store besides mean and covariance: none (False), all (True) or this many."""
        if "kid" in self.metrics:
            return True
        return self.prc_samples if "prc" in self.metrics else False

    def takes_the_samples_of(self, other: "ProtocolConfig") -> bool:
        """Whether both protocols extract the same features from a generator."""
        return all(getattr(self, field) == getattr(other, field) for field in SAMPLE_FIELDS)

    def can_use_features_of(self, other: "ProtocolConfig") -> bool:
        """Whether a reference that was computed for `other` stores the features that this protocol needs."""
        needed, stored = self.stored_features, other.stored_features
        return needed is False or stored is True or needed == stored


class ClassifierConfig(Strict):
    """The demo's digit classifier: trained on one dataset. Its logits give IS, its last hidden layer gives FID."""

    dataset: str = Field(description="dataset to train on; its labels are the classes")
    train_split: str = "train"
    test_split: str = "test"
    width: int = Field(32, ge=1, le=LARGEST_WIDTH, description="channels of the first convolution")
    features: int = Field(64, ge=1, le=LARGEST_WIDTH, description="length of the feature vector")
    epochs: int = Field(15, ge=1, le=MOST_SNAPSHOTS)
    batch: int = Field(64, ge=1, le=LARGEST_BATCH)
    lr: float = Field(0.002, gt=0)
    seed: int = Field(0, ge=0)
    accuracy: float = Field(
        0.97, ge=0, le=1, description="required share of correct answers on the test split; the stage fails below it"
    )
    threads: int = Field(1, ge=1, le=MOST_DEVICES)
