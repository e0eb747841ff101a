"""Step: the CIFAR-10 pair's eager iterations at every precision, and a profile in bfloat16."""

from typing import get_args

from gpu.step import Part, Step, main
from gpu.training_steps import eager_profile, eager_rate
from transgan.schema.recipe import Precision


def run(step: Step) -> None:
    """Measure each precision in a process of its own."""
    ceilings = step.earlier("ceilings").get("parts", {}).get("products", {}).get("results", {})
    parts = []
    for precision in get_args(Precision):
        ceiling = max(ceilings.get(precision, {}).values(), default=None)
        parts.append(Part(precision, 1, eager_rate, (step.device, step.dry_run, precision, ceiling)))
    results = step.run_parts([*parts, Part("profile", 1, eager_profile, (step.device, step.dry_run))])
    rates = [
        f"{name} {value['images_per_second']:,.0f}" for name, value in results.items() if "images_per_second" in value
    ]
    step.record(summary=f"images/s: {', '.join(rates) or 'none'}; {results['profile'].get('launches', '?')} launches")


if __name__ == "__main__":
    main(run)
