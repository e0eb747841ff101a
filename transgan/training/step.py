"""The training step: WGAN-GP's loop as the released code runs it (docs/paper.md 3.1).

`discriminator_step` and `generator_step` are the two halves of an iteration. Real images and all random numbers are
arguments, so training, the tests on the authors' recorded trajectories and the benchmarks run the same code.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from transgan.errors import UserError
from transgan.models import DiscriminatorNetwork, GeneratorNetwork
from transgan.schema import OptimizerConfig, RecipeConfig
from transgan.schema.recipe import Net
from transgan.training.augmentation import Augmentation
from transgan.training.cuda_graphs import StepGraphs
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.ema import ema_beta, update_ema
from transgan.training.losses import LOSSES
from transgan.training.meter import Meter
from transgan.training.random_inputs import REAL, DiscriminatorInputs, GeneratorInputs, RandomInputs
from transgan.training.regularizers import REGULARIZERS, STATISTICS, measured_names
from transgan.training.regularizers.context import Context
from transgan.training.style_mixing import generate

Terms = tuple[str, ...]  # names of regularizers
# What an adversarial loss measures, in this order: means over the batch.
MEASURED: dict[Net, tuple[str, ...]] = {
    "discriminator": ("d_loss", "gap", "d_real", "d_fake"),
    "generator": ("g_loss",),
}


class Trainer:
    """Both networks in training, with their optimizers and the generator's moving average, on one device.

    `step` counts the discriminator steps done. A generator step follows discriminator step 0, n_critic, 2 n_critic ...
    """

    def __init__(
        self,
        recipe: RecipeConfig,
        generator: GeneratorNetwork,
        discriminator: DiscriminatorNetwork,
        generator_ema: GeneratorNetwork,
        process_group: ProcessGroup,
        graphs: StepGraphs | None = None,
    ) -> None:
        """`generator_ema` is a copy of the generator, which becomes its moving average. All three are on one device.

        `graphs`: of the generator and the discriminator; None to work without.
        """
        self.recipe = recipe
        self.graphs = graphs
        self.generator, self.discriminator, self.generator_ema = generator, discriminator, generator_ema
        self.process_group = process_group
        self.device = next(generator.parameters()).device
        self.augmentation = Augmentation(recipe.augment, generator.resolution, recipe.augment_probability, self.device)
        self._adam: dict[Net, OptimizerConfig] = {
            "discriminator": recipe.optimizer("discriminator"),
            "generator": recipe.optimizer("generator"),
        }
        self.d_optimizer = _optimizer(discriminator, self._adam["discriminator"])
        self.g_optimizer = _optimizer(generator, self._adam["generator"])
        self.meter = Meter()
        self.regularizer_state: dict[str, dict[str, Tensor]] = {
            name: {key: torch.zeros((), device=self.device) for key in STATISTICS.get(term.kind, ())}
            for name, term in recipe.regularizers.items()
        }
        self.step = 0
        generator_ema.eval().requires_grad_(False)
        for network in (generator, discriminator):
            network.checkpoint_activations = recipe.checkpoint_activations
        self._d_loss, self._g_loss = self._discriminator_loss, self._generator_loss
        self.compiled = recipe.compiled_on(self.device.type)
        if self.compiled:
            losses = (self._discriminator_loss, self._generator_loss)
            self._d_loss, self._g_loss = (torch.compile(loss, dynamic=False, fullgraph=True) for loss in losses)

    @property
    def images(self) -> int:
        """Real images shown to the discriminator so far."""
        return self.step * self.recipe.batch

    @property
    def generator_step_due(self) -> bool:
        """Whether a generator step follows the discriminator step in progress."""
        return self.step % self.recipe.n_critic == 0

    def training_step(self, real: Tensor, random_inputs: RandomInputs) -> None:
        """A discriminator step, and a generator step if one is due.

        `real` (b, 3, H, W) in [-1, 1] holds this process's images; `random_inputs` are those of the global batch.
        """
        recipe, step = self.recipe, self.step
        for network in (self.generator, self.generator_ema):
            network.set_progress(self.images)
        self.discriminator_step(real, random_inputs.discriminator(step).rows(self.process_group.rows(recipe.batch)))
        if self.generator_step_due:
            inputs = random_inputs.generator(step).rows(self.process_group.rows(recipe.generator_batch))
            self.generator_step(inputs, real)
        self.step += 1

    def discriminator_step(self, real: Tensor, inputs: DiscriminatorInputs) -> None:
        """Update D on this process's real images (b, 3, H, W) in [-1, 1] and on as many generated ones.

        The first update includes the gradient that the last generator step left in D, if the recipe lets it leak.
        """
        self.discriminator.begin_step()
        for adversarial, terms in self._updates("discriminator", self.step):
            # The drift of a batch group that is split needs D's mean over the whole group.
            group_means = self._group_means(real, inputs) if self._has_term(terms, "drift") else None
            gradient = partial(self._discriminator_gradient, adversarial, terms)
            total = self._run(("discriminator", adversarial, terms), gradient, real, inputs, group_means)
            self._optimizer_step("discriminator", total, adversarial, terms)

    def generator_step(self, inputs: GeneratorInputs, real: Tensor) -> None:
        """Update G on this process's latents of a generator batch, then its moving average.

        `real` (b, 3, H, W) in [-1, 1] are this process's images of the discriminator step before, for super-resolution.
        """
        recipe, leak = self.recipe, self.recipe.leak_generator_gradient
        # In the released loop the gradient of G's loss also accumulates in D. Otherwise D needs none here.
        self.discriminator.requires_grad_(leak)
        for adversarial, terms in self._updates("generator", self.step // recipe.n_critic):
            images = real if self._has_term(terms, "super_resolution") else None
            gradient = partial(self._generator_gradient, adversarial, terms)
            total = self._run(("generator", adversarial, terms), gradient, inputs, images)
            self._optimizer_step("generator", total, adversarial, terms)
        self.discriminator.requires_grad_(True)
        if leak:
            self._share_leaked_gradient()
        # Moving average of G (EMA).
        beta = ema_beta(recipe.ema, recipe.batch, recipe.n_critic, self.images)
        update_ema(self.generator_ema, self.generator, beta)
        self.meter.add(("ema_beta",), torch.full((1,), beta, device=self.device))

    def _run(self, kind: tuple[Any, ...], work: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """`work(*inputs)`, with a CUDA graph if there are any. Its operators depend on `kind` and the band alone."""
        if self.graphs is None:
            return work(*inputs)
        return self.graphs.run((*kind, self.generator.has_band), work, inputs)

    def _discriminator_gradient(
        self, adversarial: bool, terms: Terms, real: Tensor, inputs: DiscriminatorInputs, group_means: Tensor | None
    ) -> Tensor:
        """Add the gradient of D's loss to D's parameters, by micro-batches; returns the sum of what they measured."""
        measured = []
        for rows in self._micro_batches(len(real)):
            means = None if group_means is None else group_means[rows]
            loss, values = self._d_loss(real[rows], inputs.rows(rows), adversarial, terms, means)
            torch.autograd.backward(loss)
            measured.append(values)
        return sum(measured[1:], measured[0])

    def _generator_gradient(
        self, adversarial: bool, terms: Terms, inputs: GeneratorInputs, real: Tensor | None
    ) -> Tensor:
        """Add the gradient of G's loss to G's parameters, as `_discriminator_gradient` does for D."""
        measured = []
        for rows in self._micro_batches(len(inputs.z)):
            part = None if real is None else real[_share(rows, len(inputs.z), len(real))]
            loss, values = self._g_loss(inputs.rows(rows), adversarial, terms, part)
            torch.autograd.backward(loss)
            measured.append(values)
        return sum(measured[1:], measured[0])

    def _discriminator_loss(
        self, real: Tensor, inputs: DiscriminatorInputs, adversarial: bool, terms: Terms, group_means: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """D's loss on one micro-batch: the adversarial loss plus the regularizers `terms`, or the regularizers alone.

        Returns the loss and what it measured: the values in MEASURED, if adversarial, and those of the regularizers.
        """
        recipe, batch = self.recipe, self.recipe.batch
        context = self._context(inputs, batch)
        context.real, context.group_means = real, group_means

        # Generated images, without a gradient for G.
        if adversarial or self._has_term(terms, "gradient_penalty"):
            with self._autocast(), torch.no_grad():
                context.fake = generate(self.generator, inputs).float()
        if not adversarial:
            loss, values = self._regularizers(context, terms, torch.zeros((), device=self.device))
            return loss, torch.stack(values).detach()

        # D on real and generated images in one pass, both augmented.
        assert context.fake is not None
        augment = None if inputs.augment is None else inputs.augment[:2].flatten(0, 1)
        noise = None if inputs.noise is None else inputs.noise[:2].flatten(0, 1)
        with self._autocast():
            images = self.augmentation(torch.cat([real, context.fake]), augment)
            logits = self.discriminator(images, noise).float()
        real_logits, fake_logits = logits.chunk(2)
        context.real_logits = real_logits

        # Adversarial loss.
        adversarial_loss = LOSSES[recipe.d_loss]
        loss = (adversarial_loss.d_real(real_logits).sum() + adversarial_loss.d_fake(fake_logits).sum()) / batch
        d_real, d_fake = real_logits.sum() / batch, fake_logits.sum() / batch
        gap = d_real - d_fake

        # Gradient penalty, drift and other regularizers.
        loss, values = self._regularizers(context, terms, loss)
        return loss, torch.stack([loss, gap, d_real, d_fake, *values]).detach()

    def _generator_loss(
        self, inputs: GeneratorInputs, adversarial: bool, terms: Terms, real: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """G's loss on one micro-batch, as `_discriminator_loss` is D's.

        `real` is the micro-batch's share of the real images, if a regularizer uses them.
        """
        recipe, batch = self.recipe, self.recipe.generator_batch
        context = self._context(inputs, batch)
        context.real = real
        if not adversarial:
            loss, values = self._regularizers(context, terms, torch.zeros((), device=self.device))
            return loss, torch.stack(values).detach()
        with self._autocast():
            fake = context.fake = generate(self.generator, inputs)
            logits = self.discriminator(self.augmentation(fake.float(), inputs.augment), inputs.noise).float()
        loss = LOSSES[recipe.g_loss].g_fake(logits).sum() / batch
        loss, values = self._regularizers(context, terms, loss)
        return loss, torch.stack([loss, *values]).detach()

    def _regularizers(self, context: Context, terms: Terms, loss: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The loss plus the regularizers `terms`, and their values and statistics in the order of `measured_names`."""
        values = []
        for name in terms:
            config = self.recipe.regularizers[name]
            context.state, context.statistics = self.regularizer_state[name], {}
            value = REGULARIZERS[config.kind](config, context)
            loss = loss + value * (config.weight * config.interval)
            values += [value, *(context.statistics[key] for key in STATISTICS.get(config.kind, ()))]
        return loss, values

    def _optimizer_step(self, net: Net, total: Tensor, adversarial: bool, terms: Terms) -> None:
        """Update a network with the gradient accumulated in it, and record `total`, what its micro-batches measured."""
        network: nn.Module = self.discriminator if net == "discriminator" else self.generator
        optimizer = self.d_optimizer if net == "discriminator" else self.g_optimizer
        config = self._adam[net]

        # Sum gradients and measurements over processes.
        self.process_group.all_reduce_sum([*_gradients(network), total])

        # Clip the gradient norm.
        norm = nn.utils.get_total_norm(_gradients(network), foreach=True)
        if config.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(list(network.parameters()), config.clip_norm, norm, foreach=True)

        # Adam.
        if config.schedule == "linear":
            for group in optimizer.param_groups:
                group["lr"] = config.lr * max(0.0, 1 - self.images / self.recipe.images)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        # Moving averages of the regularizers' statistics, and the meter.
        names = (*(MEASURED[net] if adversarial else ()), *measured_names(self.recipe.regularizers, terms))
        values = dict(zip(names, total, strict=True))
        for name in terms:
            for key, average in self.regularizer_state[name].items():
                average.lerp_(values[f"{name}_{key}"], 1 - self.recipe.regularizers[name].decay)
        self.meter.add(
            (*names, f"{net[0]}_grad_norm") if adversarial else names,
            torch.cat([total, norm.view(1)]) if adversarial else total,
        )

    def _updates(self, net: Net, step: int) -> list[tuple[bool, Terms]]:
        """The optimizer steps that a network's step consists of, as (adversarial, terms).

        First the adversarial loss with the regularizers that join it, then every due regularizer with `own_step`.
        """
        due = self.recipe.due(net, step)
        alone = [name for name in due if self.recipe.regularizers[name].own_step]
        return [(True, tuple(name for name in due if name not in alone)), *((False, (name,)) for name in alone)]

    def _has_term(self, terms: Terms, kind: str) -> bool:
        return any(self.recipe.regularizers[name].kind == kind for name in terms)

    def _context(self, inputs: DiscriminatorInputs | GeneratorInputs, batch: int) -> Context:
        return Context(
            generator=self.generator,
            discriminator=self.discriminator,
            augmentation=self.augmentation,
            inputs=inputs,
            batch=batch,
            group=self.recipe.batch_group or batch,
            real_batch=self.recipe.batch,
            bfloat16=self.recipe.precision == "bfloat16",
            bfloat16_penalty=self.recipe.penalty_precision == "bfloat16",
            compiled=self.compiled,
        )

    def _group_means(self, real: Tensor, inputs: DiscriminatorInputs) -> Tensor | None:
        """D's mean over the batch group of every real image, (b,); None if no group is split.

        If processes or micro-batches split a group, its mean must be known before the parts are differentiated. That
        takes one more pass of D without gradients.
        """
        group = self.recipe.batch_group or self.recipe.batch
        if all((rows.stop - rows.start) % group == 0 for rows in self._micro_batches(len(real))):
            return None
        logits = self._run(("group means",), self._real_logits, real, inputs)
        means = self.process_group.all_gather_rows(logits).view(-1, group).mean(1)
        return means.repeat_interleave(group)[self.process_group.rows(self.recipe.batch)]

    def _real_logits(self, real: Tensor, inputs: DiscriminatorInputs) -> Tensor:
        """D of this process's real images, augmented: (b,). Without a gradient."""
        logits = []
        with torch.no_grad(), self._autocast():
            for rows in self._micro_batches(len(real)):
                part = inputs.rows(rows)
                augmented = self.augmentation(real[rows], None if part.augment is None else part.augment[REAL])
                logits.append(self.discriminator(augmented, None if part.noise is None else part.noise[REAL]).float())
        return torch.cat(logits)

    def _micro_batches(self, length: int) -> list[slice]:
        """The rows of every micro-batch of `length` images. Raises UserError if one splits a group of D's."""
        size = self.recipe.micro_batch or length
        parts = [slice(start, min(start + size, length)) for start in range(0, length, size)]
        group = self.discriminator.group
        if any((part.stop - part.start) % group for part in parts):
            raise UserError(
                f"recipe: the discriminator takes its images in groups of {group}; batch and generator_batch, "
                f"a device's share of them, and micro_batch must be multiples of {group}"
            )
        return parts

    def _share_leaked_gradient(self) -> None:
        """Sum the gradient that G's step left in D and keep it in the main process, as D's next step sums again."""
        if self.process_group.world_size == 1:
            return
        self.process_group.all_reduce_sum(_gradients(self.discriminator))
        if not self.process_group.is_main:
            self.d_optimizer.zero_grad(set_to_none=True)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16")

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on besides the recipe: a tree of tensors, numbers and strings.

        It shares the memory of the networks and optimizers.
        """
        return {
            "step": self.step,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.generator_ema.state_dict(),
            "g_optimizer": self.g_optimizer.state_dict(),
            "d_optimizer": self.d_optimizer.state_dict(),
            # After a generator step: the gradient that leaks into D's next step, summed over processes.
            "d_gradient": [parameter.grad for parameter in self.discriminator.parameters()],
            "meter": self.meter.state(),
            "regularizers": self.regularizer_state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state()` returned, with any number of processes."""
        if self.graphs is not None:
            self.graphs.clear()  # they read tensors that are replaced here
        self.step = state["step"]
        for network in (self.generator, self.generator_ema):  # as in the last step
            network.set_progress(max(self.images - self.recipe.batch, 0))
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.generator_ema.load_state_dict(state["average"])
        self.g_optimizer.load_state_dict(state["g_optimizer"])
        self.d_optimizer.load_state_dict(state["d_optimizer"])
        for parameter, gradient in zip(self.discriminator.parameters(), state["d_gradient"], strict=True):
            leaked = gradient is not None and self.process_group.is_main
            parameter.grad = gradient.to(self.device) if leaked else None
        self.meter.restore(state["meter"], self.device)
        self.regularizer_state = {
            name: {key: value.to(self.device) for key, value in averages.items()}
            for name, averages in state["regularizers"].items()
        }


def _share(rows: slice, latents: int, images: int) -> slice:
    """Which of `images` real images go with `rows` of `latents` latents. All rows together take each image once."""
    return slice(rows.start * images // latents, rows.stop * images // latents)


def _gradients(network: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def _optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=config.lr, betas=config.betas, eps=config.eps, fused=True)
