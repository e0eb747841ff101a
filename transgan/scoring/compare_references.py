"""Published statistics beside this project's references: `transgan reference --import FILE` brings them in.

That, and `transgan reference DATASET PROTOCOL` for a protocol with published statistics, print the FID between both:
close to zero if both are of the same images, crop, resize and extractor.
"""

from collections.abc import Iterator
from pathlib import Path

from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey
from transgan.metrics import published_statistics
from transgan.pipeline.freshness import check_carrier, embedded_metadata
from transgan.utils.console import say


def import_file(plan: Plan, file: Path) -> None:
    """Import a file of published statistics, and compare it with this project's references that exist.

    Raises UserError if no protocol names the file, or if it holds no mean and covariance of the protocol's features.
    """
    uses = published_statistics.import_file(plan, file)
    say(f"{file}: imported as {plan.paths.published_statistics(file.name)}")
    for dataset, protocol in uses:
        for line in _comparisons(plan, dataset, protocol):
            say(line)


def compare(plan: Plan, dataset: str, protocol: str) -> None:
    """Print the FID between this project's references of a dataset and the protocol's published statistics.

    Raises UserError if these have not been imported.
    """
    for line in _comparisons(plan, dataset, protocol):
        say(line)


def own_references(plan: Plan, dataset: str, protocol: str) -> tuple[ReferenceKey, ...]:
    """This project's references that the protocol's statistics stand beside: those of the runs scored under both."""
    runs = [run for run in plan.runs.values() if run.dataset_name == dataset]
    return tuple(dict.fromkeys(run.reference for run in runs if protocol in plan.published_statistics(run)))


def _comparisons(plan: Plan, dataset: str, protocol: str) -> Iterator[str]:
    from transgan.metrics.fid import frechet_distance
    from transgan.metrics.reference_statistics import load_reference

    theirs = published_statistics.load(plan, dataset, protocol).statistics
    name = f"{dataset} under {protocol} ({published_statistics.file_name(plan, dataset, protocol)})"
    keys = own_references(plan, dataset, protocol)
    if not keys:
        comparable = " or ".join(f"--scale {scale}" for scale, entry in plan.params.scales.items() if entry.comparable)
        yield (
            f"{name}: no run of scale {plan.scale_name} takes the samples of {protocol}"
            + (f"; add {comparable}" if comparable and not plan.scale.comparable else "")
        )
    for key in keys:
        path = plan.paths.reference(key)
        if embedded_metadata(path).get("fingerprint") != plan.fingerprint("reference", key):
            yield f"{name}: nothing to compare with; run `{plan.command('reference', *key)}` first"
            continue
        check_carrier(plan, "reference", key, path)
        distance = frechet_distance(load_reference(path).statistics, theirs)
        yield f"{name}: FID between this project's reference {key} and the published statistics is {distance:z.4f}"
    runs = [run.name for run in plan.runs.values() if protocol in plan.published_statistics(run)]
    runs = [run for run in runs if plan.run(run).dataset_name == dataset and plan.paths.score(run).exists()]
    if runs:
        yield f"{name}: to score a finished run against both, run `{plan.command('score', runs[0])}`"
