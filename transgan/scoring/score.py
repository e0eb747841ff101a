"""The stage `score`: samples of a trained run's generator against its reference, under the run's protocol, once per evaluation seed."""

from pathlib import Path
from statistics import fmean

from transgan import files
from transgan.errors import UserError
from transgan.plan import Plan
from transgan.scoring import weights
from transgan.workspace import run_stage

METRICS = "metrics.json"
SCORES = "scores.json"


def score(plan: Plan, run_name: str) -> None:
    """Score run `run_name` and write plan.paths.score(run_name).

    Raises UserError when the generator, reference or weights are missing, the counts would mislead, or a score is not finite.
    """
    run = plan.run(run_name)
    trained = plan.paths.run(run_name)
    reference_path = plan.paths.reference(run.dataset_name, run.protocol_name)
    generator_path = trained / "generator.safetensors"
    path, weights_digest = weights.locate(plan, run.protocol)
    inputs = {
        "generator": _digest(generator_path, f"transgan train {run_name}"),
        "reference": _digest(reference_path, f"transgan reference {run.dataset_name} {run.protocol_name}"),
        "weights": weights_digest,
    }

    def work(folder: Path) -> None:
        from transgan.models.saved import load_generator
        from transgan.scoring import reference, samples
        from transgan.scoring.measure import measure

        history = files.read_json(trained / "run.json")
        sources = samples.sources(load_generator(generator_path).module, run.protocol)
        found = measure(plan, run.protocol, sources, reference.load(reference_path), path, f"score {run_name}")
        content = {
            "run": run_name,
            "fingerprint": plan.fingerprint("score", run_name),
            "train_fingerprint": plan.fingerprint("train", run_name),
            "images": history["images"],
            "data": history["data"],
            "protocols": {run.protocol_name: found["metrics"]},
            "settings": {run.protocol_name: {**found["settings"], "weights_sha256": weights_digest}},
            "warnings": {run.protocol_name: found["warnings"]},
        }
        files.write_json(folder / SCORES, content)
        files.write_json(folder / METRICS, {metric: fmean(values["values"]) for metric, values in found["metrics"].items()})

    outputs = {SCORES: plan.paths.score(run_name), METRICS: plan.paths.metrics(run_name)}
    run_stage(plan, "score", run_name, outputs, work, inputs)


def _digest(path: Path, command: str) -> str:
    if not path.exists():
        raise UserError(f"{path}: not there; run `{command}` first")
    return files.sha256(path)
