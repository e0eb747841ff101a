"""One training step: the nets, their optimizers, and what a discriminator and a generator step do to them (paper section 4; paper.md 3.1).

The real pictures and every random number come from outside, so the same code trains, is held against the authors' loop, and is measured.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from transgan.errors import UserError
from transgan.models import DiscriminatorNetwork, GeneratorNetwork
from transgan.schema import OptimizerConfig, RecipeConfig
from transgan.schema.recipe import Net
from transgan.training.augmentation import Augmentation
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.ema import ema_beta, update_ema
from transgan.training.losses import LOSSES
from transgan.training.meter import Meter
from transgan.training.random_inputs import DiscriminatorInputs, GeneratorInputs, RandomInputs
from transgan.training.regularizers import REGULARIZERS, REMEMBERED, Context, measured_names
from transgan.training.style_mixing import generate

Names = tuple[str, ...]
Loss = tuple[Tensor, Tensor]  # what to differentiate, and what was measured on the way
MEASURED: dict[Net, Names] = {"discriminator": ("d_loss", "gap", "d_real", "d_fake"), "generator": ("g_loss",)}


class Trainer:
    """Both nets in training. `step` counts discriminator steps done; a generator step follows those with index 0, n_critic, 2 n_critic ..."""

    def __init__(
        self,
        recipe: RecipeConfig,
        generator: GeneratorNetwork,
        discriminator: DiscriminatorNetwork,
        generator_ema: GeneratorNetwork,
        process_group: ProcessGroup,
    ) -> None:
        """`generator_ema` is a copy of the generator that takes the moving average. All three are on the device to compute on."""
        self.recipe = recipe
        self.generator, self.discriminator, self.generator_ema = generator, discriminator, generator_ema
        self.process_group = process_group
        self.device = next(generator.parameters()).device
        self.augmentation = Augmentation(recipe.augment, generator.resolution, recipe.augment_probability, self.device)
        self._adam: dict[Net, OptimizerConfig] = {
            "discriminator": recipe.optimizer("discriminator"),
            "generator": recipe.optimizer("generator"),
        }
        self.d_optimizer = _adam(discriminator, self._adam["discriminator"])
        self.g_optimizer = _adam(generator, self._adam["generator"])
        self.meter = Meter()
        self.regularizer_state: dict[str, dict[str, Tensor]] = {
            name: {key: torch.zeros((), device=self.device) for key in REMEMBERED.get(term.kind, ())}
            for name, term in recipe.regularizers.items()
        }
        self.step = 0
        generator_ema.eval().requires_grad_(False)
        for net in (generator, discriminator):
            net.checkpoint_activations = recipe.checkpoint_activations
        self._d_loss, self._g_loss = self._discriminator_loss, self._generator_loss
        if recipe.compile:
            losses = (self._discriminator_loss, self._generator_loss)
            self._d_loss, self._g_loss = (torch.compile(loss, dynamic=False, fullgraph=True) for loss in losses)

    @property
    def images(self) -> int:
        """Real images shown to the discriminator so far."""
        return self.step * self.recipe.batch

    @property
    def generator_is_next(self) -> bool:
        """Whether a generator step follows the next discriminator step."""
        return self.step % self.recipe.n_critic == 0

    def training_step(self, real: Tensor, random_inputs: RandomInputs) -> None:
        """A discriminator step, and the generator step that follows it if one is due.

        `real` (b, 3, H, W) in [-1, 1]: this process's rows of the step's batch. `random_inputs`: for the global batch.
        """
        recipe, step = self.recipe, self.step
        for net in (self.generator, self.generator_ema):
            net.set_progress(self.images)
        self.discriminator_step(real, random_inputs.discriminator(step).rows(self.process_group.rows(recipe.batch)))
        if self.generator_is_next:
            self.generator_step(random_inputs.generator(step).rows(self.process_group.rows(recipe.generator_batch)))
        self.step += 1

    def discriminator_step(self, real: Tensor, inputs: DiscriminatorInputs) -> None:
        """Update D on real pictures (b, 3, H, W) in [-1, 1] and on as many generated ones."""
        self.discriminator.begin_step()
        for adversarial, terms in self._updates("discriminator", self.step):
            means = self._group_means(real, inputs) if self._has_term(terms, "drift") else None

            def loss(
                rows: slice, adversarial: bool = adversarial, terms: Names = terms, means: Tensor | None = means
            ) -> Loss:
                return self._d_loss(
                    real[rows], inputs.rows(rows), adversarial, terms, None if means is None else means[rows]
                )

            # What the last generator step left in D's gradients becomes part of the first update.
            self._optimizer_step("discriminator", loss, len(real), adversarial, terms)

    def generator_step(self, inputs: GeneratorInputs) -> None:
        """Update G, and its moving average, on this process's rows of a generator batch."""
        recipe = self.recipe
        leak = recipe.leak_generator_gradient
        self.discriminator.requires_grad_(leak)
        for adversarial, terms in self._updates("generator", self.step // recipe.n_critic):

            def loss(rows: slice, adversarial: bool = adversarial, terms: Names = terms) -> Loss:
                return self._g_loss(inputs.rows(rows), adversarial, terms)

            self._optimizer_step("generator", loss, len(inputs.z), adversarial, terms)
        self.discriminator.requires_grad_(True)
        if leak:
            self._share_leaked_gradient()
        beta = ema_beta(recipe.ema, recipe.batch, recipe.n_critic, self.images)
        update_ema(self.generator_ema, self.generator, beta)
        self.meter.add(("ema_beta",), torch.full((1,), beta, device=self.device))

    def state(self) -> dict[str, Any]:
        """Everything the next step depends on but the recipe: a tree of tensors, numbers and strings, sharing the trainer's memory."""
        return {
            "step": self.step,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.generator_ema.state_dict(),
            "g_optimizer": self.g_optimizer.state_dict(),
            "d_optimizer": self.d_optimizer.state_dict(),
            # Between a generator step and D's next step this holds the gradient that leaks, summed over processes.
            "d_gradient": [parameter.grad for parameter in self.discriminator.parameters()],
            "meter": self.meter.state(),
            "regularizers": self.regularizer_state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`, with whatever number of processes."""
        self.step = state["step"]
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.generator_ema.load_state_dict(state["average"])
        self.g_optimizer.load_state_dict(state["g_optimizer"])
        self.d_optimizer.load_state_dict(state["d_optimizer"])
        for parameter, gradient in zip(self.discriminator.parameters(), state["d_gradient"], strict=True):
            held = gradient is not None and self.process_group.is_main
            parameter.grad = gradient.to(self.device) if held else None
        self.meter.restore(state["meter"], self.device)
        self.regularizer_state = {
            name: {key: value.to(self.device) for key, value in held.items()}
            for name, held in state["regularizers"].items()
        }

    def _updates(self, net: Net, step: int) -> list[tuple[bool, Names]]:
        """What a net's step consists of: its adversarial loss with the terms that join it, then each due term that has a step of its own."""
        due = self.recipe.due(net, step)
        alone = [name for name in due if self.recipe.regularizers[name].own_step]
        return [(True, tuple(name for name in due if name not in alone)), *((False, (name,)) for name in alone)]

    def _optimizer_step(
        self, net: Net, loss: Callable[[slice], Loss], length: int, adversarial: bool, terms: Names
    ) -> None:
        """Update a net once by a loss over this process's `length` pictures, of which `loss` takes some rows, and measure it."""
        module, optimizer = (
            (self.generator, self.g_optimizer) if net == "generator" else (self.discriminator, self.d_optimizer)
        )
        total = None
        for rows in self._micro_batches(length):
            part, measured = loss(rows)
            torch.autograd.backward(part)
            total = measured if total is None else total + measured
        assert total is not None
        self.process_group.all_reduce_sum([*_gradients(module), total])
        norm = self._update(module, optimizer, self._adam[net])
        optimizer.zero_grad(set_to_none=True)
        names = (*(MEASURED[net] if adversarial else ()), *measured_names(self.recipe.regularizers, terms))
        self._remember(terms, dict(zip(names, total, strict=True)))
        self.meter.add(
            (*names, f"{net[0]}_grad_norm") if adversarial else names,
            torch.cat([total, norm.view(1)]) if adversarial else total,
        )

    def _discriminator_loss(
        self, real: Tensor, inputs: DiscriminatorInputs, adversarial: bool, active: Names, means: Tensor | None
    ) -> Loss:
        """Loss of a part of the batch, the adversarial one or only that of the active terms; it measures as MEASURED and the terms say."""
        recipe, batch = self.recipe, self.recipe.batch
        fake = None
        if adversarial or self._has_term(active, "gradient_penalty"):
            with self._autocast(), torch.no_grad():
                fake = generate(self.generator, inputs)
            fake = fake.float()
        if not adversarial:
            return self._regularized(self._context(inputs, batch, fake, real=real), active)
        assert fake is not None
        with self._autocast():
            augmented = self.augmentation(
                torch.cat([real, fake]), None if inputs.augment is None else inputs.augment[:2].flatten(0, 1)
            )
            logits = self.discriminator(
                augmented, None if inputs.noise is None else inputs.noise[:2].flatten(0, 1)
            ).float()
        real_logits, fake_logits = logits.chunk(2)
        terms = LOSSES[recipe.d_loss]
        loss = (terms.d_real(real_logits).sum() + terms.d_fake(fake_logits).sum()) / batch
        d_real, d_fake = real_logits.sum() / batch, fake_logits.sum() / batch
        context = self._context(inputs, batch, fake, real=real, real_logits=real_logits, group_means=means)
        return self._regularized(context, active, loss, d_real - d_fake, d_real, d_fake)

    def _generator_loss(self, inputs: GeneratorInputs, adversarial: bool, active: Names) -> Loss:
        """Loss of a part of the batch, the adversarial one or only that of the active terms; it measures as MEASURED and the terms say."""
        batch = self.recipe.generator_batch
        if not adversarial:
            return self._regularized(self._context(inputs, batch), active)
        with self._autocast():
            fake = generate(self.generator, inputs)
            logits = self.discriminator(self.augmentation(fake.float(), inputs.augment), inputs.noise).float()
        loss = LOSSES[self.recipe.g_loss].g_fake(logits).sum() / batch
        return self._regularized(self._context(inputs, batch, fake), active, loss)

    def _regularized(self, context: Context, active: Names, *measured: Tensor) -> Loss:
        """The first of what was measured with the active terms added to it, and all that is measured."""
        loss, values = measured[0] if measured else torch.zeros((), device=self.device), []
        for name in active:
            config = self.recipe.regularizers[name]
            context.state, context.statistics = self.regularizer_state[name], {}
            value = REGULARIZERS[config.kind](config, context)
            loss = loss + value * (config.weight * config.interval)
            values += [value, *(context.statistics[key] for key in REMEMBERED.get(config.kind, ()))]
        return loss, torch.stack([*([loss, *measured[1:]] if measured else []), *values]).detach()

    def _remember(self, terms: Names, measured: dict[str, Tensor]) -> None:
        """Let the moving averages of the terms' statistics follow what the whole batch measured."""
        for name in terms:
            for key, average in self.regularizer_state[name].items():
                average.lerp_(measured[f"{name}_{key}"], 1 - self.recipe.regularizers[name].decay)

    def _has_term(self, terms: Names, kind: str) -> bool:
        return any(self.recipe.regularizers[name].kind == kind for name in terms)

    def _context(
        self, inputs: DiscriminatorInputs | GeneratorInputs, batch: int, fake: Tensor | None = None, **parts: Any
    ) -> Context:
        return Context(
            generator=self.generator,
            discriminator=self.discriminator,
            augmentation=self.augmentation,
            inputs=inputs,
            batch=batch,
            group=self.recipe.batch_group or batch,
            fake=fake,
            traceable=self.recipe.compile,
            **parts,
        )

    def _group_means(self, real: Tensor, inputs: DiscriminatorInputs) -> Tensor | None:
        """D's mean over the batch group of every real picture (b,), where some group is split among processes or micro-batches.

        One more pass without gradients: only with it is the drift of a split group known before its parts are differentiated.
        """
        group = self.recipe.batch_group or self.recipe.batch
        if all((rows.stop - rows.start) % group == 0 for rows in self._micro_batches(len(real))):
            return None
        with torch.no_grad(), self._autocast():
            logits = []
            for rows in self._micro_batches(len(real)):
                part = inputs.rows(rows)
                augmented = self.augmentation(real[rows], None if part.augment is None else part.augment[0])
                logits.append(self.discriminator(augmented, None if part.noise is None else part.noise[0]).float())
        means = self.process_group.all_gather_rows(torch.cat(logits)).view(-1, group).mean(1)
        return means.repeat_interleave(group)[self.process_group.rows(self.recipe.batch)]

    def _micro_batches(self, length: int) -> list[slice]:
        size = self.recipe.micro_batch or length
        parts = [slice(start, min(start + size, length)) for start in range(0, length, size)]
        group = self.discriminator.group
        if any((part.stop - part.start) % group for part in parts):
            raise UserError(
                f"recipe: the discriminator judges {group} pictures together; batch and generator_batch, a device's share of them, and micro_batch "
                f"must be multiples of it"
            )
        return parts

    def _update(self, net: nn.Module, optimizer: torch.optim.Optimizer, config: OptimizerConfig) -> Tensor:
        """Clip the gradient, step the optimizer, and return the norm before clipping, (1,)."""
        parameters = list(net.parameters())
        norm = nn.utils.get_total_norm(
            [parameter.grad for parameter in parameters if parameter.grad is not None], foreach=True
        )
        if config.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, config.clip_norm, norm, foreach=True)
        if config.schedule == "linear":
            for group in optimizer.param_groups:
                group["lr"] = config.lr * max(0.0, 1 - self.images / self.recipe.images)
        optimizer.step()
        return norm

    def _share_leaked_gradient(self) -> None:
        """Sum the gradient that G's step left in D and keep it in one process, as D's next step sums again."""
        if self.process_group.world_size == 1:
            return
        self.process_group.all_reduce_sum(_gradients(self.discriminator))
        if not self.process_group.is_main:
            self.d_optimizer.zero_grad(set_to_none=True)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16")


def _gradients(net: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in net.parameters() if parameter.grad is not None]


def _adam(net: nn.Module, config: OptimizerConfig) -> torch.optim.Adam:
    return torch.optim.Adam(net.parameters(), lr=config.lr, betas=config.betas, eps=config.eps, fused=True)
