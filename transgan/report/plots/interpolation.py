"""Latent interpolation: between pairs of latents, along the straight line (as in the paper) and along the sphere."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from transgan.config.plan import Plan
from transgan.metrics.samples import images_of_latents
from transgan.report.plots.generators import trained_generator
from transgan.report.plots.style import canvas, panel
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig
from transgan.utils.image_grid import make_grid
from transgan.utils.random import RandomStreams

PAIRS, STEPS = 4, 9
PANEL_INCHES = 5.5


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """Two panels per run, linear beside spherical, with a row per pair. Every image has the same noise inputs."""
    figure = canvas(plan, config, 0.6 + len(config.runs) * (PANEL_INCHES * PAIRS / STEPS + 0.25), 2 * PANEL_INCHES)
    panels = figure.subplots(len(config.runs), 2, squeeze=False)
    for row, (run, title) in zip(panels, run_titles(plan, config.runs).items(), strict=True):
        module = trained_generator(plan, run)
        streams = RandomStreams(plan.run(run).seed)
        first, last = streams.normal("figure/interpolation", 0, 2 * PAIRS, module.latent).chunk(2)
        noise = (
            streams.normal("figure/interpolation/noise", 0, 1, module.noise_width).expand(PAIRS * STEPS, -1)
            if module.noise_width
            else None
        )
        for axes, (name, path) in zip(row, (("linear", linear), ("spherical", spherical)), strict=True):
            images = images_of_latents(module, path(first, last, STEPS).flatten(0, 1), noise)
            panel(axes, make_grid(images, STEPS), f"{title}: {name}")
    return figure


def linear(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Two (N, latent) -> (N, steps, latent) on the straight lines between them; the middle is shorter than the ends."""
    share = torch.linspace(0, 1, steps).view(1, -1, 1)
    return (1 - share) * first[:, None] + share * last[:, None]


def spherical(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Two (N, latent) -> (N, steps, latent) on the great arcs between their directions, with interpolated lengths."""
    share = torch.linspace(0, 1, steps).view(1, -1, 1)
    lengths = first.norm(dim=1)[:, None, None], last.norm(dim=1)[:, None, None]
    start, end = first[:, None] / lengths[0], last[:, None] / lengths[1]
    angle = (start * end).sum(-1, keepdim=True).clamp(-1, 1).arccos()
    direction = (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / angle.sin()
    along: Tensor = direction * ((1 - share) * lengths[0] + share * lengths[1])
    return along
