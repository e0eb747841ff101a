"""The stage `score`: samples of a trained run's generator against its reference, under the run's protocol, once per evaluation seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transgan import files
from transgan.console import say
from transgan.errors import UserError
from transgan.plan import Plan
from transgan.schema import ProtocolConfig
from transgan.scoring import weights
from transgan.workspace import run_stage

if TYPE_CHECKING:
    from torch import nn

    from transgan.scoring.metrics import Measured
    from transgan.scoring.reference import Reference

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
        from transgan.scoring import reference

        history = files.read_json(trained / "run.json")
        against = reference.load(reference_path)
        scores = measure(plan, run.protocol, load_generator(generator_path).module, against, path, f"score {run_name}")
        content = {
            "run": run_name,
            "fingerprint": plan.fingerprint("score", run_name),
            "train_fingerprint": plan.fingerprint("train", run_name),
            "images": history["images"],
            "data": history["data"],
            "protocols": {run.protocol_name: scores["metrics"]},
            "settings": {run.protocol_name: {**scores["settings"], "weights_sha256": weights_digest}},
            "warnings": {run.protocol_name: scores["warnings"]},
        }
        files.write_json(folder / SCORES, content)

    run_stage(plan, "score", run_name, {SCORES: plan.paths.score(run_name)}, work, inputs)


def measure(plan: Plan, protocol: ProtocolConfig, generator: "nn.Module", against: "Reference", path: Path, what: str) -> dict[str, Any]:
    """Metrics, settings and warnings of a generator under a protocol; weights in `path`. Raises UserError as `score` does."""
    from transgan.compute import prepare_compute
    from transgan.scoring import extractors, metrics, samples

    device = prepare_compute(protocol.threads, plan.params.execution.device)
    logits = extractors.LOGITS[protocol.extractor]
    extractor = extractors.build(protocol, path, metrics.layers(protocol, protocol.metrics, logits), device)
    counts = {"samples": protocol.samples, "reference": against.statistics.count}
    warnings = metrics.check_counts(protocol, protocol.metrics, extractor.widths[protocol.feature_layer], counts)
    for warning in warnings:
        say(f"warning: {what}: {warning}")
    measured = []
    for seed in protocol.seeds:
        pictures = samples.uint8_samples(generator, seed, protocol.samples, protocol.batch, protocol.quantize, device)
        features = extractors.extract(extractor, pictures, protocol.samples, f"{what} (evaluation seed {seed})")
        measured.append(metrics.measure(protocol, protocol.metrics, features, logits, against.statistics, against.features))
    return {"metrics": tabulate(protocol, measured), "settings": settings(protocol, against), "warnings": warnings}


def tabulate(protocol: ProtocolConfig, measured: Sequence[dict[str, "Measured"]]) -> dict[str, dict[str, Any]]:
    """Per metric: values (one per evaluation seed) and, where the metric has one, its spread inside an evaluation, and FID by count."""
    from transgan.scoring.metrics import extrapolate

    spreads = {"is": "split_std", "kid": "subset_std"}
    table: dict[str, dict[str, Any]] = {}
    for name in measured[0]:
        seeds = [found[name] for found in measured]
        table[name] = {"values": [seed.value for seed in seeds]}
        if name in spreads:
            table[name][spreads[name]] = [seed.spread for seed in seeds]
        if seeds[0].by_count:
            table[name] |= {
                "counts": list(protocol.fid_counts),
                "by_count": [list(seed.by_count) for seed in seeds],
                "extrapolated": [extrapolate(protocol.fid_counts, seed.by_count) for seed in seeds],
            }
    return table


def settings(protocol: ProtocolConfig, against: "Reference") -> dict[str, Any]:
    """What a caption says about a score: the protocol's settings, the reference's count, its floor and its distance to itself."""
    fields = ("extractor", "feature_layer", "samples", "splits", "quantize", "is_splits", "seeds", "precision")
    plain = protocol.plain()
    return {
        **{field: plain[field] for field in fields},
        "reference_count": against.statistics.count,
        "floor": against.floor,
        "self_fid": against.self_fid,
    }


def _digest(path: Path, command: str) -> str:
    if not path.exists():
        raise UserError(f"{path}: not there; run `{command}` first")
    return files.sha256(path)
