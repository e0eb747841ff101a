"""The stage `score`: metrics of a trained run's generator under the run's protocol, once per evaluation seed.

`score_file` scores a generator file (saved by this project, or of the authors) in the same way, and writes the scores
beside it.
"""

import logging
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from transgan.config.fingerprint import digest
from transgan.config.plan import Plan, Run
from transgan.errors import UserError
from transgan.metrics import generator_files, published_statistics, weights
from transgan.pipeline import metrics_file
from transgan.pipeline.freshness import embedded_metadata, require, require_reference
from transgan.pipeline.run_files import check_trained
from transgan.pipeline.stages import METRICS, SCORES, stage
from transgan.pipeline.workspace import locked, run_stage
from transgan.scoring import reference
from transgan.utils import files

if TYPE_CHECKING:
    from transgan.models.base import GeneratorNetwork

logger = logging.getLogger(__name__)


def score(plan: Plan, run_name: str, again: bool = False) -> None:
    """Score run `run_name` and write plan.paths.score(run_name); with `again`, also if it is scored.

    Raises UserError when the generator, the reference or the weights are missing, there are too few images, or a score
    is not finite.
    """
    run = plan.run(run_name)
    trained = plan.paths.run(run_name)
    weights_file, weights_digest = weights.locate(plan, run.protocol)
    require(plan, "train", run_name, trained / "run.json", "train", run_name)
    require_reference(plan, run)
    if (trained / "generator.safetensors").exists():
        check_trained(plan, run_name, trained / "generator.safetensors")

    def work(folder: Path) -> None:
        train = plan.command("train", run_name)
        history = files.read_object(trained / "run.json", train, fingerprint=str, images=int, data=str)
        generator = generator_files.load_trained(plan, run_name)
        scores = _scores(plan, run, generator, weights_file, weights_digest, f"score {run_name}")
        content = {
            "run": run_name,
            "fingerprint": plan.fingerprint("score", run_name),
            "train_fingerprint": history["fingerprint"],
            "images": history["images"],
            "data": history["data"],
            **scores,
        }
        files.write_json(folder / SCORES, content)
        metrics_file.write(folder / METRICS, scores, run.protocol_name)

    inputs = _inputs(plan, run, trained / "generator.safetensors", weights_digest, plan.command("train", run_name))
    run_stage(plan, stage(plan, "score", run_name), work, inputs, again)


def score_file(plan: Plan, file: Path, like: str | None = None) -> Path:
    """Score a generator file as if run `like` had trained it; writes FILE.scores.json and returns its path.

    Without `like`, the first run of the plan whose data has the generator's resolution is used. Scores that are up to
    date are not computed again. Raises UserError when the file is no generator, when no dataset or several have its
    resolution, or in the cases of `score`.
    """
    generator = generator_files.open_generator(plan, str(file))
    if generator is None:
        raise UserError(f"{file}: not a generator file; their names end in {', '.join(generator_files.SUFFIXES)}")
    run = run_like(plan, file, generator.resolution, like)
    out = file.with_suffix(".scores.json")
    with locked(plan.paths.state / "score-files" / digest(str(out.resolve())), f"score {file}"):
        reference.compute(plan, run.reference)
        weights_file, weights_digest = weights.locate(plan, run.protocol)
        computed_from = {
            "like": run.name,
            "protocol": digest(run.protocol.plain()),
            "inputs": _inputs(plan, run, file, weights_digest, f"transgan import-official {file.with_suffix('.pth')}"),
        }
        if out.exists() and computed_from.items() <= embedded_metadata(out).items():
            logger.info(f"score {file}: already finished ({out})")
            return out
        logger.info(f"score {file}: like {run.name}, on {run.dataset_name} under {run.protocol_name}")
        scores = _scores(plan, run, generator, weights_file, weights_digest, f"score {file.name}")
        files.write_json(out, {"run": str(file), **computed_from, **scores})
        titles = scores["settings"][run.protocol_name]["titles"]
        metrics = scores["protocols"][run.protocol_name]
        values = ", ".join(f"{titles[name]} {fmean(metric['values']):.4g}" for name, metric in metrics.items())
        logger.info(f"score {file}: {values}; written to {out}")
    return out


def _scores(
    plan: Plan, run: Run, generator: "GeneratorNetwork", weights_file: Path, weights_digest: str, label: str
) -> dict[str, Any]:
    """Scores, settings and warnings of a generator under `run`'s protocol, each below the protocol's name.

    Likewise under each protocol whose published statistics have been imported for the run's dataset: FID of the same
    samples, and among the settings the FID between this project's reference and those statistics.
    """
    from transgan.hardware.device import prepare_compute
    from transgan.metrics.evaluator import evaluate_sources, generator_sources
    from transgan.metrics.fid import frechet_distance
    from transgan.metrics.reference_statistics import load_reference

    name, protocol = run.protocol_name, run.protocol
    device = prepare_compute(protocol.threads, plan.device)
    statistics = load_reference(plan.paths.reference(run.reference))
    sources = generator_sources(generator, protocol)
    published = published_statistics.imported(plan, run)
    evaluation = evaluate_sources(sources, statistics, protocol, weights_file, device, label, published)
    scores: dict[str, dict[str, Any]] = {
        "protocols": {name: evaluation["metrics"]},
        "settings": {name: {**evaluation["settings"], "weights_sha256": weights_digest}},
        "warnings": {name: [*([generator.caution] if generator.caution else []), *evaluation["warnings"]]},
    }
    digests = published_statistics.imported_digests(plan, run)
    for other, theirs in published.items():
        scores["protocols"][other] = {"fid": {"values": evaluation["published"][other]}}
        scores["settings"][other] = {
            "extractor": protocol.extractor,
            "feature_layer": protocol.feature_layer,
            "seeds": list(protocol.seeds),
            "samples": evaluation["settings"]["samples"],
            "titles": evaluation["settings"]["titles"],
            "statistics": published_statistics.file_name(plan, run.dataset_name, other),
            "statistics_sha256": digests[other],
            "references_fid": frechet_distance(statistics.statistics, theirs.statistics),
        }
        scores["warnings"][other] = []
    return scores


def run_like(plan: Plan, file: Path, resolution: int, like: str | None = None) -> Run:
    """The run that a generator file is scored like: `like`, or the first one whose data has the file's resolution.

    Raises UserError when the resolutions differ, or when no dataset or several have that of the file.
    """
    run = plan.run(like) if like is not None else _first_run(plan, file, resolution)
    if run.dataset.resolution != resolution:
        raise UserError(f"{file}: generates {resolution} pixels, but {run.name} is scored at {run.dataset.resolution}")
    return run


def _first_run(plan: Plan, file: Path, resolution: int) -> Run:
    """The first run whose data has `resolution`. Raises UserError when no dataset or several have it."""
    runs = [run for run in plan.runs.values() if run.dataset.resolution == resolution]
    datasets = list(dict.fromkeys(run.dataset_name for run in runs))
    if not datasets:
        known = ", ".join(f"{name} {dataset.resolution}" for name, dataset in plan.datasets.items())
        raise UserError(
            f"{file}: generates {resolution} pixels, but no run's data has them at scale {plan.scale_name} "
            f"({known}); name another --scale"
        )
    if len(datasets) > 1:
        raise UserError(
            f"{file}: generates {resolution} pixels, which {', '.join(datasets)} have; "
            "name a run whose protocol to use with --like"
        )
    return runs[0]


def _inputs(plan: Plan, run: Run, generator: Path, weights_digest: str, command: str) -> dict[str, str]:
    """Digests of everything that the scores of `run` are computed from; `command` creates the generator."""
    return {
        "generator": _digest(generator, command),
        "reference": _digest(plan.paths.reference(run.reference), plan.command("reference", *run.reference)),
        "weights": weights_digest,
        **published_statistics.imported_digests(plan, run),
    }


def _digest(path: Path, command: str) -> str:
    if not path.exists():
        raise UserError(f"{path}: not there; run `{command}` first")
    return files.sha256(path)
