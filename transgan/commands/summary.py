"""`transgan summary`: prints the finished tables of a scale, and where to find everything else."""

from transgan.config.plan import Plan
from transgan.report.layout import DETAILS


def summary(plan: Plan) -> None:
    """Print every existing table, without the lines on where each number comes from, and what to look at next."""
    for name in plan.params.tables:
        path = plan.paths.table(name).with_suffix(".md")
        if path.exists():
            print(path.read_text().split(DETAILS)[0])
    results = plan.paths.results
    print(f"Tables: {results / 'tables'}   figures: {results / 'figures'}   cells of all tables: {plan.paths.cells}")
    print(f"Samples: {results / 'runs'}/*/samples.png")
    print(
        "Next: `mlflow ui` compares runs; `transgan plan --scale paper` shows what the full reproduction costs; "
        "README.md describes how to run it."
    )
