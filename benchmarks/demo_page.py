"""`make docs`: docs/demo.md, a snapshot of what the demo made here, with its machine and commit; run it after `make reproduce`."""

import json
import shutil
from pathlib import Path

from PIL import Image

from transgan.config.plan import Plan, load
from transgan.utils import files

PAGE, IMAGES = Path("docs/demo.md"), Path("docs/images")
TIMES = Path("benchmarks/results/demo-time.json")
HEADLINE = "transgan-cifar10"


def main() -> None:
    plan = load(None, "demo")
    folder = plan.paths.run(HEADLINE)
    provenance = json.loads((folder / "provenance.json").read_text())
    IMAGES.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "samples.png", IMAGES / "demo-headline.png")
    figures = [plan.paths.figure(name).with_suffix(".png") for name in plan.params.figures]
    for figure in figures:
        shrink(figure, IMAGES / f"demo-{figure.name}")
    lines = [
        "# What the demo makes",
        "",
        "Written by `make docs` after `make reproduce`. The pictures are handwritten digits: no number here says anything about the paper's.",
        "",
        f"- commit {provenance['commit'][:12]}{' (dirty)' if provenance['dirty'] else ''}, on {machine(provenance)}",
        f"- headline run {HEADLINE}: {provenance['training']['training_seconds']:.0f} s of training, "
        f"{provenance['training']['images_per_second']:.0f} real images a second, {plan.run(HEADLINE).recipe.images:,} in all",
        "",
        "![Samples of the headline run](images/demo-headline.png)",
        "",
        *scores(plan),
        "",
        *times(),
    ]
    for name in plan.params.tables:
        lines += [
            plan.paths.table(name)
            .with_suffix(".md")
            .read_text()
            .strip()
            .replace("\n# ", "\n## ")
            .replace("# ", "## ", 1),
            "",
        ]
    for figure in figures:
        lines += [f"![{figure.stem}](images/demo-{figure.name})", ""]
    files.write_text(PAGE, "\n".join(lines))


def machine(provenance: dict[str, object]) -> str:
    described = provenance["hardware"]
    return (
        ", ".join(f"{key} {value}" for key, value in described.items() if value)
        if isinstance(described, dict)
        else str(described)
    )


def scores(plan: Plan) -> list[str]:
    """The headline run's scores, by evaluation seed."""
    found = files.read_json(plan.paths.score(HEADLINE))["protocols"]
    return [
        f"- {protocol}, {metric}: {', '.join(f'{value:.4g}' for value in values['values'])}"
        for protocol, metrics in found.items()
        for metric, values in metrics.items()
    ]


def times() -> list[str]:
    """Where the time went, if benchmarks/demo_time.py has measured it."""
    if not TIMES.exists():
        return []
    found = files.read_json(TIMES)
    useful = found["share"]["train"] + found["share"]["score"]
    minutes = found["wall_seconds"] / 60
    return [
        "## Where the time went",
        "",
        f"{minutes:.1f} minutes on {found['cores']} cores from a fresh clone; training and scoring are {useful:.0%} of what the cores had to give "
        f"(`python benchmarks/demo_time.py`, commit {str(found['commit'])[:12]}).",
        "",
        "| | core-seconds | share |",
        "| --- | ---: | ---: |",
        *(
            f"| {what} | {seconds:,.0f} | {found['share'][what]:.0%} |"
            for what, seconds in found["core_seconds"].items()
        ),
        "",
        "| command | calls | core-seconds | of these, before a call works |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {verb} | {each['count']} | {each['core_seconds']:,.0f} | {min(each['count'] * each['start_seconds'], each['core_seconds']):,.0f} |"
            for verb, each in found["commands"].items()
        ),
        "",
    ]


def shrink(source: Path, target: Path) -> None:
    """A figure at most 1200 pixels wide, with a palette: pages should load quickly."""
    with Image.open(source) as image:
        image.thumbnail((1200, 1200))
        image.convert("P", palette=Image.Palette.ADAPTIVE).save(target, optimize=True)


if __name__ == "__main__":
    main()
