"""The stage `score`: samples of a trained run's generator against its reference, under the run's protocol, once per evaluation seed.

A generator file (of ours, or of the authors) is scored in the same way in the place of a run; its scores lie beside it.
"""

import logging
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from transgan.config.plan import Plan, Run, digest
from transgan.errors import UserError
from transgan.metrics import weights
from transgan.pipeline.freshness import require, require_reference
from transgan.pipeline.workspace import locked, run_stage
from transgan.scoring.evaluate import CHECKPOINTS, open_generator
from transgan.utils import files

if TYPE_CHECKING:
    from transgan.models.base import GeneratorNetwork

logger = logging.getLogger(__name__)

METRICS = "metrics.json"
SCORES = "scores.json"
GENERATOR_FILES = (".safetensors", *CHECKPOINTS)


def score(plan: Plan, run_name: str) -> None:
    """Score run `run_name` and write plan.paths.score(run_name).

    Raises UserError when the generator, reference or weights are missing, the counts would mislead, or a score is not finite.
    """
    run = plan.run(run_name)
    trained = plan.paths.run(run_name)
    generator_path = trained / "generator.safetensors"
    path, weights_digest = weights.locate(plan, run.protocol)
    require(plan, "train", run_name, trained / "run.json", "train", run_name)
    require_reference(plan, run)

    def work(folder: Path) -> None:
        from transgan.models.serialization import load_generator

        history = files.read_json(trained / "run.json")
        found = _measured(plan, run, load_generator(generator_path).module, path, weights_digest, f"score {run_name}")
        content = {
            "run": run_name,
            "fingerprint": plan.fingerprint("score", run_name),
            "train_fingerprint": history["fingerprint"],
            "images": history["images"],
            "data": history["data"],
            **found,
        }
        files.write_json(folder / SCORES, content)
        values = found["protocols"][run.protocol_name]
        files.write_json(folder / METRICS, {metric: fmean(value["values"]) for metric, value in values.items()})

    outputs = {SCORES: plan.paths.score(run_name), METRICS: plan.paths.metrics(run_name)}
    inputs = _inputs(plan, run, generator_path, weights_digest, plan.command("train", run_name))
    run_stage(plan, "score", run_name, outputs, work, inputs)


def is_file(plan: Plan, target: str) -> bool:
    """Whether `target` names a generator file rather than a run."""
    return target not in plan.runs and target.endswith(GENERATOR_FILES)


def score_file(plan: Plan, file: Path, like: str | None = None) -> Path:
    """Score a generator file as if run `like` had trained it; writes and returns FILE.scores.json, which has what a run's scores have.

    `like`: without it, the first run of the plan whose data has the generator's resolution. What was scored so before is not scored again.
    Raises UserError when the file is no generator, no dataset or several have its resolution, or as `score` does.
    """
    from transgan.scoring import reference

    generator = open_generator(plan, str(file))
    if generator is None:
        raise UserError(f"{file}: no generator file; these end in {', '.join(GENERATOR_FILES)}")
    run = plan.run(like) if like is not None else _first_run(plan, file, generator.resolution)
    if run.dataset.resolution != generator.resolution:
        raise UserError(
            f"{file}: makes {generator.resolution} pixels, {run.name} is scored at {run.dataset.resolution}"
        )
    out = file.with_suffix(".scores.json")
    with locked(plan.paths.state / "score-files" / digest(str(out.resolve())), f"score {file}"):
        reference.make(plan, f"{run.dataset_name}-{run.protocol_name}")
        path, weights_digest = weights.locate(plan, run.protocol)
        made_from = {
            "like": run.name,
            "protocol": digest(run.protocol.plain()),
            "inputs": _inputs(plan, run, file, weights_digest, f"transgan import-official {file.with_suffix('.pth')}"),
        }
        if out.exists() and made_from.items() <= files.read_json(out).items():
            logger.info(f"score {file}: already finished ({out})")
            return out
        logger.info(f"score {file}: as {run.name} is scored, {run.dataset_name} under {run.protocol_name}")
        found = _measured(plan, run, generator, path, weights_digest, f"score {file.name}")
        files.write_json(out, {"run": str(file), **made_from, **found})
        settings, metrics = found["settings"][run.protocol_name], found["protocols"][run.protocol_name]
        values = ", ".join(
            f"{settings['titles'][metric]} {fmean(value['values']):.4g}" for metric, value in metrics.items()
        )
        logger.info(f"score {file}: {values}; kept in {out}")
    return out


def _measured(
    plan: Plan, run: Run, generator: "GeneratorNetwork", path: Path, weights_digest: str, what: str
) -> dict[str, Any]:
    """Scores, settings and warnings of a generator by `run`'s protocol with the weights in `path`, each under the protocol's name."""
    from transgan.metrics import samples
    from transgan.metrics.evaluator import measure
    from transgan.scoring import reference

    against = reference.load(plan.paths.reference(run.dataset_name, run.protocol_name))
    found = measure(plan, run.protocol, samples.sources(generator, run.protocol), against, path, what)
    name = run.protocol_name
    return {
        "protocols": {name: found["metrics"]},
        "settings": {name: {**found["settings"], "weights_sha256": weights_digest}},
        "warnings": {name: found["warnings"]},
    }


def _first_run(plan: Plan, file: Path, resolution: int) -> Run:
    """The first run whose data has `resolution`, if it is one dataset that has it."""
    fitting = [run for run in plan.runs.values() if run.dataset.resolution == resolution]
    datasets = list(dict.fromkeys(run.dataset_name for run in fitting))
    if not datasets:
        has = ", ".join(f"{name} {dataset.resolution}" for name, dataset in plan.datasets.items())
        raise UserError(
            f"{file}: makes {resolution} pixels, which no run's data has at scale {plan.scale_name} ({has}); name another --scale"
        )
    if len(datasets) > 1:
        raise UserError(
            f"{file}: makes {resolution} pixels, as do {', '.join(datasets)}; name a run to score it like with --like"
        )
    return fitting[0]


def _inputs(plan: Plan, run: Run, generator: Path, weights_digest: str, maker: str) -> dict[str, str]:
    """Digests of all that the scores of `run` are made from; `maker` is the command that makes the generator."""
    reference_path = plan.paths.reference(run.dataset_name, run.protocol_name)
    return {
        "generator": _digest(generator, maker),
        "reference": _digest(reference_path, plan.command("reference", run.dataset_name, run.protocol_name)),
        "weights": weights_digest,
    }


def _digest(path: Path, command: str) -> str:
    if not path.exists():
        raise UserError(f"{path}: not there; run `{command}` first")
    return files.sha256(path)
