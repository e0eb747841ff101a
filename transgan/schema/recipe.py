"""Configuration of training: losses, regularizers, optimizers, augmentation, EMA and schedule (paper section 4, paper.md 3)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict

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
    """A term added to one net's loss every `interval` steps of that net, weighted by `weight * interval` then."""

    kind: Literal["gradient_penalty", "drift", "r1", "path_length"]
    net: Net = "discriminator"
    weight: float = Field(gt=0)
    interval: int = Field(1, ge=1)
    own_step: bool = Field(
        False,
        description="an optimizer step of its own after the loss's (StyleGAN2's lazy regularization) instead of one for the sum",
    )
    target: float = Field(
        1.0,
        gt=0,
        description="gradient norm the penalty asks for (gradient_penalty only); the term is divided by its square",
    )
    augmented: bool = Field(
        False,
        description="the gradient is with respect to the augmented pictures (r1 only), as in DiffAugment's StyleGAN2",
    )
    decay: float = Field(
        0.99, ge=0, lt=1, description="of the moving average that path lengths are drawn to (path_length only)"
    )
    one_in: int = Field(
        1, ge=1, description="taken on the first of every so many pictures of the batch (path_length only)"
    )

    @model_validator(mode="after")
    def _fits_its_net(self) -> Self:
        net: Net = "generator" if self.kind == "path_length" else "discriminator"
        if self.net != net:
            raise ValueError(f"`{self.kind}` is a term of the {net}: `net: {net}`")
        if self.own_step and self.kind == "drift":
            raise ValueError("`drift` is taken of the loss's own logits and cannot have a step of its own")
        return self


class OptimizerConfig(Strict):
    """Adam, as both nets use it."""

    lr: float = Field(0.0001, gt=0)
    betas: tuple[Beta, Beta] = (0.0, 0.99)
    eps: float = Field(1e-8, gt=0)
    clip_norm: float | None = Field(5.0, gt=0, description="global gradient norm is clipped to it")
    schedule: Literal["constant", "linear"] = Field("constant", description="linear: to zero over the schedule")


class EmaConfig(Strict):
    """Exponential moving average of the generator (paper.md 3.1)."""

    kimg: float | None = Field(None, gt=0, description="half-life in thousands of real images, ramped up by `warmup`")
    warmup: float = Field(0.0, ge=0, description="the half-life is at most this share of the images seen; 0: no ramp")
    beta: float | None = Field(None, ge=0, lt=1, description="constant decay per generator step, instead of kimg")
    semantics: Literal["released", "intended"] = Field(
        "released",
        description="released: one D batch is counted per generator step, so the half-life is n_critic times longer; intended: all are",
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.kimg is None) == (self.beta is None):
            raise ValueError("give exactly one of `kimg` and `beta`")
        return self


class DynamicsConfig(Strict):
    """What dynamics.npz records along training."""

    points: int = Field(8, ge=2, description="number of log-spaced image counts, the start and the end included")
    first: int = Field(1000, ge=1, description="real images at the first point after the start")
    latents: int = Field(64, ge=1, description="number of fixed latents whose pictures are kept")
    fid_samples: int = Field(0, ge=0, description="samples of the small-n FID at every point; 0: none")


class RecipeConfig(Strict):
    """One training recipe. Batches are global: all devices and micro-batches together."""

    images: int = Field(ge=1, description="length of training in real images shown to the discriminator")
    batch: int = Field(64, ge=1, description="real images per discriminator step")
    generator_batch: int = Field(128, ge=1, description="generated images per generator step")
    n_critic: int = Field(4, ge=1, description="discriminator steps per generator step")
    micro_batch: int | None = Field(
        None, ge=1, description="most images in one forward pass on one device; gradients accumulate; none: all at once"
    )
    batch_group: int = Field(
        0, ge=0, description="coins, erase rectangles and drift are per group of so many images; 0: the whole batch"
    )
    d_loss: Loss = "wasserstein"
    g_loss: Loss = "wasserstein"
    regularizers: dict[str, Regularizer] = Field(default_factory=dict)
    discriminator: OptimizerConfig = OptimizerConfig()
    generator: OptimizerConfig = OptimizerConfig()
    augment: tuple[Augmentation, ...] = Field((), description="applied in this order to all the discriminator sees")
    augment_probability: float = Field(0.3, ge=0, le=1, description="coin of cutout and the erasings, per batch group")
    flip: bool = Field(True, description="real pictures are mirrored with probability 1/2")
    ema: EmaConfig
    leak_generator_gradient: bool = Field(
        True, description="the generator step's gradient stays in D for D's next step, as in the released loop"
    )
    style_mixing: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of generated pictures with the styles of two latents, crossing at a random layer",
    )
    normalize_latent: bool = Field(False, description="z is divided by its root mean square")
    precision: Precision = "float32"
    compile: bool = False
    checkpoint_activations: bool = Field(
        False, description="recompute blocks in the backward pass: less memory, more time"
    )
    devices: int = Field(1, ge=1, description="processes, each with a device of its own")
    threads: int = Field(1, ge=1, description="CPU threads of each process")
    log_images: int = Field(50000, ge=1, description="a row of history.csv every so many images")
    gap_limit: float = Field(1e6, gt=0, description="a critic gap beyond it ends the run as diverged")
    dynamics: DynamicsConfig = DynamicsConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.compile and self.checkpoint_activations:
            raise ValueError(
                "compile and checkpoint_activations exclude each other: torch.compile cannot trace recomputed blocks in the penalty"
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
                    f"regularizers.{name}: `one_in: {term.one_in}` must divide the generator_batch of a device and the micro_batch"
                )
        return self

    @property
    def steps(self) -> int:
        """Number of discriminator steps."""
        return -(-self.images // self.batch)

    def due(self, net: Net, step: int) -> tuple[str, ...]:
        """Names of the regularizers of a net that are due at its step `step`."""
        return tuple(name for name, term in self.regularizers.items() if term.net == net and step % term.interval == 0)

    def optimizer(self, net: Net) -> OptimizerConfig:
        """A net's optimizer as it is to be made: regularizers with steps of their own make it take 1 / c as many steps.

        lr times c and betas to the power of c leave what Adam does per step of the net as it was: c = k / (k + 1) for one term of interval k
        (Karras et al. 2020, appendix B).
        """
        config = getattr(self, net)
        c = 1 / (1 + sum(1 / term.interval for term in self.regularizers.values() if term.net == net and term.own_step))
        corrected: OptimizerConfig = config.model_copy(
            update={"lr": config.lr * c, "betas": tuple(beta**c for beta in config.betas)}
        )
        return corrected
