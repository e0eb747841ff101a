"""Configuration of scoring: protocols, and the small classifier that stands in for Inception at the demo scale (paper.md 3.4)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict

Metric = Literal["is", "fid", "kid", "prc"]


class ProtocolConfig(Strict):
    """Everything that changes a score: extractor, layer, counts, split, quantization and seeds."""

    metrics: tuple[Metric, ...] = Field(("is", "fid"), min_length=1)
    extractor: Literal["inception-v3-compat", "digits"] = "inception-v3-compat"
    weights: str | None = Field(
        None, description="file of extractor weights; none: the product's own (downloaded or trained)"
    )
    feature_layer: str = Field("2048", description="layer of FID, KID and precision/recall")
    samples: int = Field(50000, ge=2, description="number of generated pictures")
    splits: tuple[str, ...] = Field(("train",), min_length=1, description="splits the reference is made of")
    reference_samples: int | None = Field(
        None, ge=2, description="only so many reference pictures, evenly spaced; none: all"
    )
    resize: Literal["none", "lanczos", "bicubic", "bilinear", "box"] = Field(
        "none",
        description="filter that brings pictures of a folder or archive to the reference's size; none: another size is refused",
    )
    quantize: Literal["truncate", "round"] = Field("truncate", description="how [0, 255] becomes uint8")
    is_splits: int = Field(10, ge=1)
    fid_counts: tuple[int, ...] = Field(
        (), description="numbers of samples at which FID is measured too and extrapolated from; none: not done"
    )
    kid_subsets: int = Field(100, ge=1)
    kid_subset_size: int = Field(1000, ge=2)
    prc_neighborhood: int = Field(3, ge=1)
    prc_samples: int = Field(
        10000, ge=2, description="most pictures of each side, evenly spaced, that enter precision and recall"
    )
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="evaluation seeds; a score each")
    allow_few_samples: bool = Field(False, description="score although there are fewer samples than features")
    batch: int = Field(50, ge=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "kid" in self.metrics and self.kid_subset_size > self.samples:
            raise ValueError(f"kid_subset_size {self.kid_subset_size} is more than samples {self.samples}")
        if "is" in self.metrics and self.is_splits > self.samples:
            raise ValueError(f"is_splits {self.is_splits} is more than samples {self.samples}")
        if len(self.fid_counts) == 1 or any(not 2 <= count <= self.samples for count in self.fid_counts):
            raise ValueError(f"fid_counts must be two or more numbers from 2 to samples {self.samples}, or none")
        return self

    @property
    def kept_features(self) -> bool | int:
        """Features that the reference must keep beside their mean and covariance: none (False), all (True: KID draws from all), or so many."""
        if "kid" in self.metrics:
            return True
        return self.prc_samples if "prc" in self.metrics else False

    def is_served_by(self, other: "ProtocolConfig") -> bool:
        """Whether the features that a reference of `other` keeps will do."""
        wanted, held = self.kept_features, other.kept_features
        return wanted is False or held is True or wanted == held


class ClassifierConfig(Strict):
    """The demo's digit classifier: trained on one dataset, its logits give IS and its last hidden layer FID."""

    dataset: str = Field(description="name of the dataset it learns; its labels are the classes")
    train_split: str = "train"
    test_split: str = "test"
    width: int = Field(32, ge=1, description="channels of the first convolution")
    features: int = Field(64, ge=1, description="length of the feature vector")
    epochs: int = Field(15, ge=1)
    batch: int = Field(64, ge=1)
    lr: float = Field(0.002, gt=0)
    seed: int = Field(0, ge=0)
    accuracy: float = Field(
        0.97, ge=0, le=1, description="share of the test split it must get right, or the stage fails"
    )
    threads: int = Field(1, ge=1)
