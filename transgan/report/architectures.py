"""Writes docs/architectures.md, every TransGAN stage by stage: `python -m transgan.report.architectures`.

The networks are built without content, so their parameters are counted, not computed by formulas.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.models.discriminator import Discriminator
from transgan.models.generator import Generator
from transgan.schema.model import Attention, Blocks, TransformerDiscriminator, TransformerGenerator
from transgan.utils import files
from transgan.utils.exit_codes import one_line_exit

TARGET = Path("docs/architectures.md")
INTRODUCTION = """# Architectures, stage by stage

This page is generated from `models:` in params.yaml at scale `paper`, with parameters counted on the networks:
`python -m transgan.report.architectures`, a part of `make generate`. It stands for the paper's tables of architectures
(Tables 4 to 7, recalled), whose cells are not known to us, except for the generator of CelebA 128
([paper.md](paper.md#17-appendix-tables)). [deviations.md](deviations.md#networks) says where the networks follow the
released code and where they are this project's choice. A run may change its networks (`runs.<run>.changes`), as
those of the ablation do."""

GENERATOR = ("stage", "pixels", "reached by", "channels", "tokens", "blocks", "attention", "parameters")
DISCRIMINATOR = ("stage", "patches", "map", "channels", "tokens", "blocks", "attention", "parameters")
NUMBERS = ("channels", "tokens", "blocks", "parameters")
Line = tuple[str, ...]


def page(plan: Plan) -> str:
    """The page as Markdown: a section for each model of two transformers that a scheduled run trains."""
    parts = [INTRODUCTION]
    shown: dict[tuple[TransformerDiscriminator, int], str] = {}
    used = dict.fromkeys(run.model_name for run in plan.scheduled_runs.values())
    for name in (name for name in plan.models if name in used):
        g, d = plan.models[name].generator, plan.models[name].discriminator
        if not isinstance(g, TransformerGenerator) or not isinstance(d, TransformerDiscriminator):
            continue
        parts += [f"## {name}", f"{_generator_text(g)}", _table(GENERATOR, generator_lines(g))]
        same = shown.setdefault((d, g.resolution), name)
        parts += (
            [f"{_discriminator_text(d)}", _table(DISCRIMINATOR, discriminator_lines(d, g.resolution))]
            if same == name
            else [f"The discriminator is that of [{same}](#{same})."]
        )
    return "\n\n".join(parts) + "\n"


def generator_lines(config: TransformerGenerator) -> list[Line]:
    """A line for the latent, each stage, the image, and the total."""
    with torch.device("meta"):
        module = Generator(config)
    sides = [f"{side} x {side}" for side in config.sides]
    first = [module.project, *(part for part in (module.embed, module.project_image) if part is not None)]
    lines = [("latent", "", "", str(config.latent), "", "", "", _count(*first))]
    for i, stage in enumerate(config.stages):
        reached = "linear" if i == 0 else ("blur, " if stage.blur else "") + stage.upsample.replace("_", " ")
        attention = _attention(stage.blocks, config.wide, config.sides[i])
        tokens, blocks = f"{config.sides[i] ** 2:,}", str(sum(group.depth for group in stage.blocks))
        count = _count(module.stages[i])
        lines.append((str(i + 1), sides[i], reached, f"{config.widths[i]:,}", tokens, blocks, attention, count))
    lines.append(("image", sides[-1], "linear, per token", "3", "", "", "", _count(module.to_rgb)))
    return [*lines, _total(module)]


def discriminator_lines(config: TransformerDiscriminator, resolution: int) -> list[Line]:
    """A line for each scale with its patch embedding, the class token and its block, the head, and the total."""
    with torch.device("meta"):
        module = Discriminator(config, resolution)
    lines: list[Line] = []
    side, extra = 0, int(config.class_token == "first")
    for i, stage in enumerate(config.stages):
        patch = config.patch * 2**i
        side = resolution // patch
        embedded = config.embeddings[i]
        channels = f"{config.widths[i - 1]} + {embedded} = {config.widths[i]}" if i else str(embedded)
        patches = f"{patch} x {patch}" + (", overlapping" if config.overlapping and i == 0 else "")
        depth = str(sum(group.depth for group in stage.blocks))
        attention = _attention(stage.blocks, config.wide, side)
        count = _count(module.patches[i], module.stages[i])
        tokens = f"{side * side + extra:,}"
        lines.append((str(i + 1), patches, f"{side} x {side}", channels, tokens, depth, attention, count))
    token = module.class_token.numel()
    if module.last_block is None:
        lines[0] = (*lines[0][:-1], _count(module.patches[0], module.stages[0], plus=token))
    else:
        count = _count(module.last_block, plus=token)
        tokens = f"{side * side + 1:,}"
        lines.append(("with class token", "", "", str(config.width), tokens, "1", "whole map", count))
    lines.append(("score", "", "", "1", "", "", "", _count(module.norm, module.head)))
    return [*lines, _total(module)]


def _attention(groups: Sequence[Blocks], wide: Attention, side: int) -> str:
    """`whole map`; `tiles of 16 x 16 (2), whole map (1)`, with numbers of blocks, where there are several forms."""
    forms = [(group.depth, _form(group.resolve(wide), side)) for group in groups if group.depth]
    if len({form for _, form in forms}) <= 1:
        return forms[0][1] if forms else ""
    return ", ".join(f"{form} ({depth})" for depth, form in forms)


def _form(attention: Attention, side: int) -> str:
    if attention.attention == "grid" and attention.window is not None and side > attention.window:
        return f"tiles of {attention.window} x {attention.window}"
    if attention.attention == "nystrom":
        return f"Nystrom, {attention.landmarks} landmarks"
    return "axis" if attention.attention == "axis" else "whole map"


def _generator_text(config: TransformerGenerator) -> str:
    further = [
        *(["cross-attention to the latent"] if config.latent_attention else []),
        *(["locality band in the last block"] if config.locality_band else []),
        *(["images as a second input"] if config.image_input else []),
    ]
    return f"Generator: {', '.join([*_settings(config), *further])}."


def _discriminator_text(config: TransformerDiscriminator) -> str:
    return f"Discriminator: {', '.join(_settings(config))}."


def _settings(config: TransformerGenerator | TransformerDiscriminator) -> Iterator[str]:
    yield {"layer": "layer norm", "pixel": "pixel norm", "none": "no norm"}[config.norm]
    yield "relative position encoding" if config.relative_position else "no relative position encoding"
    yield "noise before attention" if config.noise else "no noise"
    yield f"{config.heads} heads"
    yield f"MLP ratio {config.mlp_ratio}"


def _count(*modules: nn.Module, plus: int = 0) -> str:
    return f"{plus + sum(parameter.numel() for module in modules for parameter in module.parameters()):,}"


def _total(module: nn.Module) -> Line:
    return ("total", "", "", "", "", "", "", _count(module))


def _table(headings: Sequence[str], lines: Sequence[Line]) -> str:
    rule = " | ".join("---:" if heading in NUMBERS else "---" for heading in headings)
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, (rule,), *lines))


if __name__ == "__main__":
    with one_line_exit():
        files.write_text(TARGET, page(plans.load(None, "paper")))
