"""`recipes` in params.yaml: losses, regularizers, optimizers, augmentation, EMA and schedule (docs/paper.md 3)."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict, added_option
from transgan.schema.limits import LARGEST_BATCH, MOST_DEVICES, MOST_SAMPLES, MOST_SNAPSHOTS

Loss = Literal["wasserstein", "hinge", "non_saturating", "least_squares"]
Augmentation = Literal[
    "translation",
    "cutout",
    "color",
    "erase_ratio",
    "stl_erase_ratio",
    "filter",
    "hue",
    "diffaug_translation",
    "diffaug_cutout",
    "diffaug_color",
]
Net = Literal["discriminator", "generator"]
Beta = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["float32", "tf32", "bfloat16"]


class Regularizer(Strict):
    """A term that joins a network's loss in every `interval`-th step of that network, weighted by weight * interval."""

    kind: Literal["gradient_penalty", "drift", "r1", "path_length", "super_resolution"]
    net: Net = "discriminator"
    weight: float = Field(gt=0)
    interval: int = Field(1, ge=1)
    own_step: bool = Field(
        False,
        description="take a separate optimizer step, after that of the loss, as StyleGAN2's lazy regularization does",
    )
    target: float = Field(
        1.0,
        gt=0,
        description="the gradient norm t to reach; the term is divided by t^2 (gradient_penalty only)",
    )
    augmented: bool = Field(
        False,
        description="take the gradient with respect to the augmented images, as DiffAugment's StyleGAN2 (r1 only)",
    )
    decay: float = Field(
        0.99, ge=0, lt=1, description="decay of the moving average that path lengths should equal (path_length only)"
    )
    one_in: int = Field(1, ge=1, description="use the first of every so many images of the batch (path_length only)")
    until: int | None = added_option(
        None, ge=1, description="the term applies until so many real images have been shown; null: to the end"
    )

    @model_validator(mode="after")
    def _net_and_step_are_possible(self) -> Self:
        net: Net = "generator" if self.kind in ("path_length", "super_resolution") else "discriminator"
        if self.net != net:
            raise ValueError(f"`{self.kind}` is a term of the {net}: write `net: {net}`")
        if self.own_step and self.kind == "drift":
            raise ValueError("`drift` uses the logits of the loss and cannot have an `own_step`")
        if self.own_step and self.until:
            raise ValueError("`own_step` changes Adam's settings for the whole run and cannot be limited by `until`")
        return self


class OptimizerConfig(Strict):
    """Adam, for one network."""

    lr: float = Field(0.0001, gt=0)
    betas: tuple[Beta, Beta] = (0.0, 0.99)
    eps: float = Field(1e-8, gt=0)
    clip_norm: float | None = Field(5.0, gt=0, description="limit of the gradient norm; null: no clipping")
    schedule: Literal["constant", "linear"] = Field("constant", description="linear: to zero at the end of training")


class EmaConfig(Strict):
    """Exponential moving average of the generator (docs/paper.md 3.1)."""

    kimg: float | None = Field(None, gt=0, description="half-life in thousands of real images")
    warmup: float = Field(0.0, ge=0, description="limit of the half-life, as a share of the images shown; 0: none")
    beta: float | None = Field(None, ge=0, lt=1, description="constant decay of every generator step, instead of kimg")
    semantics: Literal["released", "intended"] = Field(
        "released",
        description="released: counts one D batch per generator step, so the half-life is n_critic times longer; "
        "intended: counts all",
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.kimg is None) == (self.beta is None):
            raise ValueError("give exactly one of `kimg` and `beta`")
        return self


class DynamicsConfig(Strict):
    """The snapshots in dynamics.npz."""

    points: int = Field(
        8, ge=2, le=MOST_SNAPSHOTS, description="number of snapshots, at log-spaced image counts from start to end"
    )
    first: int = Field(1000, ge=1, description="real images at the first snapshot after the start")
    at: tuple[Annotated[int, Field(ge=1)], ...] = added_option(
        (), description="image counts of further snapshots; those after the end of training are left out"
    )
    latents: int = Field(64, ge=1, le=MOST_SNAPSHOTS, description="number of fixed latents whose samples are stored")
    fid_samples: int = Field(
        0,
        ge=0,
        le=MOST_SAMPLES,
        description="samples of the FID at every snapshot, or with `at`, at those and at the end; 0: no FID",
    )


class RecipeConfig(Strict):
    """One training recipe. Batches are global: all devices and micro-batches together."""

    images: int = Field(ge=1, description="length of training in real images shown to the discriminator")
    batch: int = Field(64, ge=1, le=LARGEST_BATCH, description="real images per discriminator step")
    generator_batch: int = Field(128, ge=1, le=LARGEST_BATCH, description="generated images per generator step")
    n_critic: int = Field(4, ge=1, description="discriminator steps per generator step")
    micro_batch: int | None = Field(
        None, ge=1, le=LARGEST_BATCH, description="most images in one forward pass on one device; null: all at once"
    )
    batch_group: int = Field(
        0, ge=0, le=LARGEST_BATCH, description="coins, erased rectangles and drift are per so many images; 0: per batch"
    )
    d_loss: Loss = "wasserstein"
    g_loss: Loss = "wasserstein"
    regularizers: dict[str, Regularizer] = Field(default_factory=dict)
    discriminator: OptimizerConfig = OptimizerConfig()
    generator: OptimizerConfig = OptimizerConfig()
    augment: tuple[Augmentation, ...] = Field((), description="applied in this order to all images that D sees")
    augment_probability: float = Field(
        0.3, ge=0, le=1, description="of cutout and the erasing operations, per batch group"
    )
    flip: bool = Field(True, description="mirror real images with probability 1/2")
    ema: EmaConfig
    leak_generator_gradient: bool = Field(
        True, description="the generator step leaves its gradient in D for D's next step, as released"
    )
    style_mixing: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of generated images that take styles from two latents, which cross at a random layer",
    )
    normalize_latent: bool = Field(
        False, description="the generator divides z by its root mean square, in training and whenever it is used later"
    )
    precision: Precision = "float32"
    penalty_precision: Literal["float32", "bfloat16"] = added_option(
        "float32",
        description="of D's passes in gradient_penalty and r1; bfloat16: by autocast, and the gradient's norm and the "
        "loss stay in float32",
    )
    compile: bool | Literal["auto"] = Field(False, description="compile the losses; auto: on a GPU, and not on a CPU")
    checkpoint_activations: bool = Field(
        False, description="recompute blocks in the backward pass: less memory, more time"
    )
    devices: int = Field(1, ge=1, le=MOST_DEVICES, description="number of processes, each with its own device")
    threads: int = Field(1, ge=1, le=MOST_DEVICES, description="CPU threads of each process")
    log_images: int = Field(50000, ge=1, description="a row of history.csv every so many images")
    gap_limit: float = Field(1e6, gt=0, description="a larger critic gap stops the run as diverged")
    dynamics: DynamicsConfig = DynamicsConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.compile and self.checkpoint_activations:
            raise ValueError(
                "compile and checkpoint_activations exclude each other: "
                "torch.compile cannot trace recomputed blocks in the gradient penalty; write `compile: false`"
            )
        for key, batch in (("batch", self.batch), ("generator_batch", self.generator_batch)):
            if batch % self.devices:
                raise ValueError(f"{key} {batch} does not divide among {self.devices} devices")
            if self.batch_group and batch % self.batch_group:
                raise ValueError(f"{key} {batch} is not a multiple of batch_group {self.batch_group}")
        for name, term in self.regularizers.items():
            share = self.generator_batch // self.devices
            if any(size % term.one_in for size in (share, min(share, self.micro_batch or share))):
                raise ValueError(
                    f"regularizers.{name}: `one_in: {term.one_in}` must divide a device's share of generator_batch, "
                    f"and micro_batch"
                )
            if term.kind == "super_resolution" and self.micro_batch and self.batch > self.generator_batch:
                raise ValueError(
                    f"regularizers.{name}: with `micro_batch`, `batch` {self.batch} may not exceed "
                    f"`generator_batch` {self.generator_batch}: every pass takes its share of the real images"
                )
        return self

    def compiled_on(self, device: str) -> bool:
        """Whether the losses are compiled on a device of the type `device` (cpu, cuda)."""
        return self.compile if isinstance(self.compile, bool) else device != "cpu"

    @property
    def steps(self) -> int:
        """Number of discriminator steps."""
        return -(-self.images // self.batch)

    @property
    def log_spaced_snapshots(self) -> list[int]:
        """Image counts of the log-spaced snapshots: 0, then from `dynamics.first` to the end of training."""
        first = min(self.dynamics.first, self.images)
        later = self.dynamics.points - 1
        spaced = [round(first * (self.images / first) ** (i / max(later - 1, 1))) for i in range(later)]
        return sorted({0, *spaced[:-1], self.images})

    @property
    def fid_snapshots(self) -> list[int]:
        """Image counts of the snapshots at which FID is measured, in order; none if `dynamics.fid_samples` is 0."""
        if not self.dynamics.fid_samples:
            return []
        return self._after_steps([*self.dynamics.at, self.images] if self.dynamics.at else self.log_spaced_snapshots)

    @property
    def snapshots(self) -> list[int]:
        """Image counts of all snapshots, in order."""
        return self._after_steps([*self.log_spaced_snapshots, *self.dynamics.at])

    def _after_steps(self, counts: Iterable[int]) -> list[int]:
        """`counts` up to the end of training, each rounded up to whole discriminator steps."""
        return sorted({-(-count // self.batch) * self.batch for count in counts if count <= self.images})

    def due(self, net: Net, step: int) -> tuple[str, ...]:
        """Names of a network's regularizers that are due at its step `step`."""
        images = step * self.batch * (self.n_critic if net == "generator" else 1)
        return tuple(
            name
            for name, term in self.regularizers.items()
            if term.net == net and step % term.interval == 0 and images < (term.until or math.inf)
        )

    def optimizer(self, net: Net) -> OptimizerConfig:
        """A network's optimizer, corrected for regularizers with `own_step` (Karras et al. 2020, appendix B).

        They make Adam take 1 / c times as many steps; for one regularizer of interval k, c = k / (k + 1). With lr * c
        and betas ** c its effect per step of the network stays the same.
        """
        config = getattr(self, net)
        c = 1 / (1 + sum(1 / term.interval for term in self.regularizers.values() if term.net == net and term.own_step))
        corrected: OptimizerConfig = config.model_copy(
            update={"lr": config.lr * c, "betas": tuple(beta**c for beta in config.betas)}
        )
        return corrected
