"""`make docs`: writes docs/demo.md, a snapshot of the demo's results, with its machine and commit.

Run it after `make reproduce`.
"""

import shutil
import statistics
from pathlib import Path
from typing import Any

from PIL import Image

from transgan.config.plan import Plan, load
from transgan.utils import files
from transgan.utils.npz import read_npz

PAGE, IMAGES = Path("docs/demo.md"), Path("docs/images")
TIMES = Path("benchmarks/results/demo-time.json")
HEADLINE = "transgan-digits"
BAR = 0.6  # of the untrained score


def main() -> None:
    plan = load(None, "demo")
    IMAGES.mkdir(parents=True, exist_ok=True)
    shutil.copy(plan.paths.run(HEADLINE) / "samples.png", IMAGES / "demo-headline.png")
    lines = [
        "# Results of the demo",
        "",
        "`make docs` writes this page after `make reproduce`. The images are handwritten digits, so no number here",
        "can be compared with the paper's. [tables.md](tables.md) explains how to read the tables.",
        "",
        *headline(plan),
        "",
        "![Samples of the headline run](images/demo-headline.png)",
        "",
        *scores(plan),
        "",
        *progress(plan),
        "",
        *times(),
    ]
    for name in plan.params.tables:
        table = plan.paths.table(name).with_suffix(".md").read_text()
        lines += [demoted(table).replace("](../../../docs/", "]("), ""]  # links as from this page
    lines += ["## Figures", ""]
    for name, figure in plan.params.figures.items():
        source = plan.paths.figure(name).with_suffix(".png")
        shrink(source, IMAGES / f"demo-{source.name}")
        lines += [f"![{figure.title}](images/demo-{source.name})", "", f"**{figure.title}.** {figure.source}.", ""]
    files.write_text(PAGE, "\n".join(lines))


def headline(plan: Plan) -> list[str]:
    """The headline run: commit, machine, images. Its speed depends on the machine's load; `times` has measured ones."""
    provenance = files.read_json(plan.paths.run(HEADLINE) / "provenance.json")
    return [
        f"- commit {provenance['commit'][:12]}{' (dirty)' if provenance['dirty'] else ''}, on {machine(provenance)}",
        f"- headline run {HEADLINE}: trained on {plan.run(HEADLINE).recipe.images:,} real images",
    ]


def machine(provenance: dict[str, Any]) -> str:
    """`AMD EPYC (AuthenticAMD, family 26, model 2, stepping 1), using AVX2, 2 cores, 23.5 GiB`."""
    hardware = provenance["hardware"]
    parts = dict(hardware.get("processor", {}))
    identity = ", ".join(
        [*filter(None, [parts.pop("vendor", "")]), *(f"{key} {value}" for key, value in parts.items())]
    )
    used = hardware.get("instruction_set")
    return (
        f"{hardware['cpu']}{f' ({identity})' if identity else ''}{f', using {used}' if used else ''}, "
        f"{hardware['cores']} cores, {hardware['memory_gib']} GiB"
    )


def scores(plan: Plan) -> list[str]:
    """The headline run's scores, by evaluation seed."""
    protocols = files.read_json(plan.paths.score(HEADLINE))["protocols"]
    return [
        f"- {protocol}, {metric}: {', '.join(f'{value:.4g}' for value in values['values'])}"
        for protocol, metrics in protocols.items()
        for metric, values in metrics.items()
    ]


def progress(plan: Plan) -> list[str]:
    """What every run learnt: its score, and the score of its generator before the first step."""
    lines = [
        "## What every run learnt",
        "",
        "FID-digits of 1,000 samples of the untrained generator, and the score at the end of training, which is of "
        "2,000 samples (StyleGAN2 on CIFAR-10: of 1,000, against the test images).",
        "",
        "| run | real images | untrained | trained | trained / untrained |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    above = []
    for name, run in plan.scheduled_runs.items():
        untrained = float(read_npz(plan.paths.run(name) / "dynamics.npz")["fid"][0])
        values = files.read_json(plan.paths.score(name))["protocols"][run.protocol_name]["fid"]["values"]
        trained = statistics.fmean(values)
        lines.append(
            f"| {name} | {run.recipe.images:,} | {untrained:.0f} | {trained:.1f} | {trained / untrained:.0%} |"
        )
        above += [f"{name} ({trained / untrained:.0%})"] if trained > BAR * untrained else []
    count = len(plan.scheduled_runs)
    lines += [
        "",
        f"{count - len(above)} of {count} runs end below {BAR:.0%} of their untrained generator's score, which is the "
        "least that a number of the demo should mean.",
    ]
    if above:
        lines.append(
            f"Not so {', '.join(above)}: read nothing into the differences between these rows. Longer training "
            "and other learning rates did not change that (see `recipes.ablation` of the demo in params.yaml)."
        )
    return lines


def times() -> list[str]:
    """Where the time went, if benchmarks/demo_time.py has measured it."""
    if not TIMES.exists():
        return []
    measured = files.read_json(TIMES)
    useful = measured["share"]["train"] + measured["share"]["score"]
    return [
        "## Where the time went",
        "",
        f"The demo took {measured['wall_seconds'] / 60:.1f} minutes on {measured['cores']} cores, from a fresh clone. "
        f"Training and scoring took {useful:.0%} of the core-seconds.",
        f"`python benchmarks/demo_time.py` measured this at commit {str(measured['commit'])[:12]}.",
        "",
        "| | core-seconds | share |",
        "| --- | ---: | ---: |",
        *(
            f"| {what} | {seconds:,.0f} | {measured['share'][what]:.0%} |"
            for what, seconds in measured["core_seconds"].items()
        ),
        "",
        "| command | calls | core-seconds | of these, start-up |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {verb} | {each['count']} | {each['core_seconds']:,.0f} "
            f"| {min(each['count'] * each['start_seconds'], each['core_seconds']):,.0f} |"
            for verb, each in measured["commands"].items()
        ),
        "",
    ]


def demoted(markdown: str) -> str:
    """A table's Markdown with its headings one level lower."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in markdown.strip().splitlines())


def shrink(source: Path, target: Path) -> None:
    """Write a figure at most 1200 pixels wide and with a palette, so that the page loads quickly."""
    with Image.open(source) as image:
        image.thumbnail((1200, 1200))
        image.convert("P", palette=Image.Palette.ADAPTIVE).save(target, optimize=True)


if __name__ == "__main__":
    main()
