"""The convolutional baselines beside TransGAN: their speed at equal training FLOPs, and their scores on real images.

    python benchmarks/baselines.py speed      # benchmarks/results/baselines-speed.json
    python benchmarks/baselines.py collect    # after both params files ran: results/baselines-*.json, docs/images
    python benchmarks/baselines.py page       # docs/baselines.md from those results and params.yaml

`speed` alternates between the networks in one process: a few discriminator steps each, with their generator steps.
"""

import argparse
import copy
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from transgan.config import plan as plans
from transgan.config.plan import Plan, Run
from transgan.cost.estimate import estimate
from transgan.hardware.device import prepare_compute
from transgan.models import build_discriminator, build_generator
from transgan.pipeline.provenance import hardware, versions
from transgan.report.plots import style
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.utils import files
from transgan.utils.image_grid import save_grid
from transgan.utils.random import RandomStreams

HERE = Path(__file__).parent
RESULTS, PAGE, IMAGES = HERE / "results", HERE.parent / "docs" / "baselines.md", HERE.parent / "docs" / "images"
JPEG, DIGITS = HERE / "baselines-jpeg.yaml", HERE / "baselines.yaml"
TITLES = {
    "transgan": "TransGAN",
    "wgan-gp": "WGAN-GP",
    "autogan": "AutoGAN",
    "autogan-wgan-gp": "AutoGAN's G, WGAN-GP's D",
    "stylegan2": "StyleGAN2",
}
STEPS = 8  # discriminator steps of one turn: whole iterations of every recipe here
SHOWN = 32  # samples of a run on the page


class Contender:
    """A run in training on random images, with the random inputs of its steps."""

    def __init__(self, run: Run, device: torch.device) -> None:
        self.run, self.device = run, device
        self.cost = estimate(run)
        torch.manual_seed(0)
        generator = build_generator(run.model.generator).to(device)
        discriminator = build_discriminator(run.model.discriminator, run.dataset.resolution).to(device)
        self.trainer = Trainer(run.recipe, generator, discriminator, copy.deepcopy(generator), ProcessGroup())
        self.random_inputs = RandomInputs(
            RandomStreams(0, device), run.recipe, self.trainer.augmentation, generator, discriminator
        )
        side = run.dataset.resolution
        self.real = RandomStreams(0, device).uniform("real", 0, run.recipe.batch, 3, side, side) * 2 - 1

    def turn(self) -> float:
        """Take STEPS steps; images per second."""
        started = time.perf_counter()
        for _ in range(STEPS):
            self.trainer.training_step(self.real, self.random_inputs)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return STEPS * self.run.recipe.batch / (time.perf_counter() - started)


def speed(rounds: int, device_name: str, threads: int) -> None:
    """Measure every run of the JPEG file and write the result."""
    before = os.getloadavg()[0]
    device = prepare_compute(threads, device_name)
    contenders = [Contender(run, device) for run in plans.load(JPEG).runs.values()]
    for contender in contenders:
        contender.turn()
    rates: dict[str, list[float]] = {contender.run.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            rates[contender.run.name].append(contender.turn())
    measured = {
        contender.run.name: {
            "generator_parameters": contender.cost.generator_parameters,
            "discriminator_parameters": contender.cost.discriminator_parameters,
            "gflop_per_image": contender.cost.gflop_per_image,
            "images_per_second": statistics.median(rates[contender.run.name]),
            "lowest": min(rates[contender.run.name]),
            "highest": max(rates[contender.run.name]),
        }
        for contender in contenders
    }
    machine = {**hardware(), "device": str(device), "threads": threads, "load_before": before}
    files.write_json(
        RESULTS / "baselines-speed.json",
        {"rounds": rounds, "steps": STEPS, "runs": measured, "machine": machine, "versions": versions()},
    )


def collect() -> None:
    """Write the results of both params files' runs, a figure and grids of samples."""
    jpeg, digits = plans.load(JPEG), plans.load(DIGITS)
    curves = {name: results_of(jpeg, name) for name in jpeg.runs}
    scored = {
        name: {**results_of(digits, name), "scores": files.read_json(digits.paths.score(name))["protocols"]}
        for name in digits.runs
    }
    files.write_json(RESULTS / "baselines-jpeg.json", curves)
    files.write_json(RESULTS / "baselines-digits.json", scored)
    with style.theme():
        figure = draw(jpeg, curves)
        with files.atomic(IMAGES / "baselines-fid768.png") as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
    for target, plan in (("baselines-jpeg", jpeg), ("baselines-digits", digits)):
        samples = [last_images(plan, name)[: SHOWN // 2] for name in plan.runs]
        save_grid(IMAGES / f"{target}.png", np.concatenate(samples), columns=SHOWN // 2)


def results_of(plan: Plan, name: str) -> dict[str, Any]:
    """One run: its curve, and the time and machine it took."""
    folder = plan.paths.run(name)
    with np.load(folder / "dynamics.npz", allow_pickle=False) as records:
        curve = {"images": records["images"].tolist(), "fid": records["fid"].tolist()}
    run, provenance = files.read_json(folder / "run.json"), files.read_json(folder / "provenance.json")
    return {
        "curve": curve,
        "images": run["images"],
        "parameters": run["parameters"],
        "fingerprint": run["fingerprint"],
        "provenance": {
            key: provenance[key] for key in ("commit", "dirty", "hardware", "training", "versions") if key in provenance
        },
    }


def draw(plan: Plan, curves: dict[str, dict[str, Any]]) -> Figure:
    """FID-768 against real images shown, a line per run."""
    figure = style.canvas(plan, "FID-768 along training, equal training FLOPs per image", 3.6)
    axes = figure.subplots()
    for name, result in curves.items():
        images, fid = (np.array(result["curve"][key]) for key in ("images", "fid"))
        axes.plot(images, fid, marker="o", markersize=4, label=TITLES[family(name)])
    axes.set_yscale("log")
    axes.set_ylabel("FID-768 (not FID)")
    axes.set_xlabel("real images shown to the discriminator")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.legend()
    return figure


def last_images(plan: Plan, name: str) -> np.ndarray:
    """Images of the fixed latents at the end of training, uint8 (N, H, W, 3)."""
    with np.load(plan.paths.run(name) / "dynamics.npz", allow_pickle=False) as records:
        last: np.ndarray = records["pictures"][-1]
    return last


def family(run: str) -> str:
    """`wgan-gp-jpeg16` -> `wgan-gp`."""
    return run.rsplit("-", 1)[0]


def in_order(runs: dict[str, Any]) -> dict[str, Any]:
    """Runs in the order of TITLES; files sort them by name."""
    return {name: runs[name] for title in TITLES for name in runs if family(name) == title}


def page() -> str:
    """docs/baselines.md: the text of baselines-page.md with its tables filled in, as far as there are results."""
    text = (HERE / "baselines-page.md").read_text()
    tables = {"sizes": sizes, "speed": speeds, "jpeg": on_photographs, "digits": on_digits}
    for name, table in tables.items():
        available = name == "sizes" or (RESULTS / f"baselines-{name}.json").exists()
        text = text.replace(f"<!-- {name} -->", "\n".join(table()) if available else "(Not measured yet.)")
    images = {
        line: IMAGES / line.split("](images/")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")
    }
    kept = [line for line in text.splitlines() if line not in images or images[line].exists()]
    return "\n".join(kept).rstrip() + "\n"


def sizes() -> list[str]:
    """Parameters and cost of the full-size runs."""
    plan = plans.load(HERE.parent / "params.yaml", "paper")
    rows = ["| run | G | D | GFLOP per real image | full schedule, images |", "|---|---:|---:|---:|---:|"]
    for name in (
        "wgan-gp-cifar10",
        "wgan-gp-stl10",
        "autogan-cifar10",
        "autogan-stl10",
        "stylegan2-cifar10",
        "stylegan2-stl10",
        "stylegan2-celeba128",
        "transgan-cifar10",
    ):
        run = plan.run(name)
        cost = estimate(run)
        counts = f"{cost.generator_parameters:,} | {cost.discriminator_parameters:,}"
        rows.append(f"| {name} | {counts} | {cost.gflop_per_image:.3g} | {run.recipe.images:,} |")
    return rows


def speeds() -> list[str]:
    """What `speed` measured."""
    result = files.read_json(RESULTS / "baselines-speed.json")
    rows = ["| | G | D | GFLOP per image | images/s, median (range) | GFLOP/s |", "|---|---:|---:|---:|---:|---:|"]
    for name, run in in_order(result["runs"]).items():
        counts = f"{run['generator_parameters']:,} | {run['discriminator_parameters']:,} | {run['gflop_per_image']:.3f}"
        rate = f"{run['images_per_second']:.1f} ({run['lowest']:.1f} to {run['highest']:.1f})"
        rows.append(
            f"| {TITLES[family(name)]} | {counts} | {rate} | {run['images_per_second'] * run['gflop_per_image']:.0f} |"
        )
    machine = result["machine"]
    return [
        *rows,
        "",
        f"{result['rounds']} turns of {result['steps']} discriminator steps each, in one process, on "
        f"{machine['threads']} thread(s) of {machine['cpu']}; load average {machine['load_before']:.1f} when it began.",
    ]


def on_photographs() -> list[str]:
    """FID-768 of every run at every point."""
    runs = in_order(files.read_json(RESULTS / "baselines-jpeg.json"))
    points = sorted({images for run in runs.values() for images in run["curve"]["images"]})
    rows = [
        f"| | {' | '.join(f'{images:,}' for images in points)} | training, minutes |",
        f"|---|{'---:|' * (len(points) + 1)}",
    ]
    for name, run in runs.items():
        minutes = run["provenance"]["training"]["training_seconds"] / 60
        at = dict(zip(run["curve"]["images"], run["curve"]["fid"], strict=True))
        cells = [f"{at[images]:.3f}" if images in at else "" for images in points]
        rows.append(f"| {TITLES[family(name)]} | {' | '.join(cells)} | {minutes:.0f} |")
    commits = {run["provenance"]["commit"][:12] for run in runs.values()}
    return [
        *rows,
        "",
        f"Commit {', '.join(sorted(commits))}; the minutes include the measurements of FID-768 along training.",
    ]


def on_digits() -> list[str]:
    """Scores of the runs on digits."""
    runs = in_order(files.read_json(RESULTS / "baselines-digits.json"))
    rows = ["| | images | IS-digits | FID-digits | training, seconds |", "|---|---:|---:|---:|---:|"]
    for name, run in runs.items():
        metrics = run["scores"]["fid-digits"]
        means = [statistics.fmean(metrics[metric]["values"]) for metric in ("is", "fid")]
        seconds = run["provenance"]["training"]["training_seconds"]
        rows.append(f"| {TITLES[family(name)]} | {run['images']:,} | {means[0]:.2f} | {means[1]:.2f} | {seconds:.0f} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "collect", "page"))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    match arguments.what:
        case "speed":
            speed(arguments.rounds, arguments.device, arguments.threads)
        case "collect":
            collect()
        case "page":
            files.write_text(PAGE, page())


if __name__ == "__main__":
    main()
