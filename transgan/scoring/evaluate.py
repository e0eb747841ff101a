"""`transgan evaluate`: metrics of any generator or images against any reference, under a named protocol.

A target is a run, a generator file (.safetensors of this project, .pth of the authors), a dataset, a pack, or images:
a folder, an archive, an .npz or an .npy. A reference is a dataset, a pack, images, or an .npz of mu and sigma.
`NAME:SPLIT` selects one split of a dataset or pack.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from pydantic import ValidationError

from transgan.config.fingerprint import REFERENCE_FIELDS, digest
from transgan.config.paths import MANIFEST
from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey
from transgan.config.validation import nearest
from transgan.data.pack import Pack
from transgan.errors import UserError
from transgan.hardware.device import prepare_compute
from transgan.metrics import image_sources, published_statistics, weights
from transgan.metrics.evaluator import EvaluationSource, evaluate_sources, generator_sources, stored_images
from transgan.metrics.generator_files import open_generator
from transgan.metrics.image_sources import ImageSource
from transgan.metrics.reference_statistics import Reference, compute_reference, load_reference
from transgan.metrics.subsets import evenly_spaced
from transgan.models.base import GeneratorNetwork
from transgan.pipeline.stages import STATISTICS
from transgan.pipeline.workspace import is_finished, locked, mark_finished
from transgan.schema import ProtocolConfig
from transgan.scoring import reference as reference_stage
from transgan.utils import files
from transgan.utils.npz import read_npz

logger = logging.getLogger(__name__)


def evaluate(
    plan: Plan,
    target: str | GeneratorNetwork,
    reference: str,
    protocol: str | None = None,
    metrics: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Evaluate `target` against `reference`.

    `target` is a name as the module describes, or a generator that is called `name`. `protocol` is a name of the params
    file; by default that of the target if it is a run, otherwise that of the runs on the reference's dataset. `metrics`
    replace the protocol's, and `changes` its other keys (samples, feature_layer, weights, resize ...). Writes the
    result to state/<scale>/evaluations/ and returns it: target, reference, protocol, changes, metrics (as in
    scores/<run>.json), summary (metric -> mean, and std over evaluation seeds or None), settings and warnings. Raises
    UserError.
    """
    called = name or str(target)
    protocol = protocol or default_protocol(plan, called, reference)
    config = _changed(plan, protocol, {**(changes or {}), **({"metrics": list(metrics)} if metrics else {})})
    # Before anything that takes long: weights may be downloaded, and a reference may take hours.
    generator = open_generator(plan, target) if isinstance(target, str) else target
    if generator is None:
        _check_there(plan, called, "run or dataset", [*plan.runs, *plan.datasets])
    _check_there(plan, reference, "dataset", list(plan.datasets))
    weights_file, weights_digest = weights.locate(plan, config)
    device = prepare_compute(config.threads, plan.device)
    statistics = _reference(plan, reference, protocol, config, weights_file, weights_digest, device)
    resolution = statistics.about.get("resolution")
    if generator is None:
        sources, notes = _image_sources(plan, called, config, resolution)
    else:
        sources, notes = _samples(called, generator, config, resolution)
    measured = evaluate_sources(sources, statistics, config, weights_file, device, f"evaluate {called}")
    result = {
        "target": called,
        "reference": reference,
        "protocol": protocol,
        "changes": dict(changes or {}),
        "summary": {metric: _summary(values["values"]) for metric, values in measured["metrics"].items()},
        **measured,
        "settings": {**measured["settings"], "weights_sha256": weights_digest, "reference": statistics.about},
        "warnings": [*notes, *measured["warnings"]],
    }
    _keep(plan, result, list(metrics))
    return result


def _keep(plan: Plan, result: Mapping[str, Any], metrics: list[str]) -> None:
    """Write a result to the state folder before it is printed, because what reads it may fail."""
    asked = {key: result[key] for key in ("target", "reference", "protocol", "changes")}
    path = plan.paths.state / "evaluations" / f"{digest({**asked, 'metrics': metrics})}.json"
    try:
        files.write_json(path, result)
    except UserError as error:
        logger.warning(f"evaluate {result['target']}: {error}; the result is only printed")
    else:
        logger.info(f"evaluate {result['target']}: written to {path}")


def render(result: Mapping[str, Any]) -> str:
    """A result as lines to print."""
    settings = result["settings"]
    changed = "".join(f", {key} {value}" for key, value in result["changes"].items())
    lines = [
        f"{result['target']} against {result['reference']}, protocol {result['protocol']}{changed}: "
        f"{settings['samples']:,} images"
    ]
    for metric, summary in result["summary"].items():
        seeds = len(result["metrics"][metric]["values"])
        spread = "" if summary["std"] is None else f" ± {summary['std']:.4g} over {seeds} evaluation seeds"
        lines.append(f"  {settings['titles'][metric]}: {summary['mean']:.6g}{spread}")
    if settings["floor"] is not None and "fid" in result["summary"]:
        lines.append(
            f"  floor ({settings['titles']['fid']} between two halves of the reference): {settings['floor']:.6g}"
        )
    return "\n".join([*lines, *(f"  warning: {warning}" for warning in result["warnings"])])


def default_protocol(plan: Plan, target: str, reference: str) -> str:
    """The protocol of the target if it is a run, else that of the first run on a dataset that either names."""
    if target in plan.runs:
        return plan.runs[target].protocol_name
    datasets = [name.split(":")[0] for name in (reference, target)]
    return next(
        (run.protocol_name for dataset in datasets for run in plan.runs.values() if run.dataset_name == dataset),
        next(iter(plan.protocols)),
    )


def _changed(plan: Plan, name: str, changes: Mapping[str, Any]) -> ProtocolConfig:
    try:
        return ProtocolConfig.model_validate({**plan.protocol(name).plain(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"protocol {name}: {'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
        ) from None


def _check_there(plan: Plan, name: str, what: str, known: Sequence[str]) -> None:
    """Raise UserError unless `name` is a path, a dataset, or a split of either."""
    base = name.partition(":")[0]
    if base not in plan.datasets and not Path(name).exists() and not (Path(base) / MANIFEST).exists():
        raise UserError(f"{name}: no file or folder, and no {what} of {plan.file}{nearest(name, known)}")


def _summary(values: Sequence[float]) -> dict[str, float | None]:
    return {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None}


def _samples(
    name: str, generator: GeneratorNetwork, config: ProtocolConfig, resolution: int | None
) -> tuple[list[EvaluationSource], list[str]]:
    """A generator's images, one source per evaluation seed, and warnings about them."""
    if resolution not in (None, generator.resolution):
        raise UserError(
            f"{name}: generates {generator.resolution} pixels, but the reference has {resolution}; "
            "name another reference"
        )
    return generator_sources(generator, config), [generator.caution] if generator.caution else []


def _image_sources(
    plan: Plan, target: str, config: ProtocolConfig, resolution: int | None
) -> tuple[list[EvaluationSource], list[str]]:
    """The target's images as one source, and warnings about them."""
    images = named_images(plan, target, None, config.samples, resolution, config.resize)
    if images.count < 2:
        raise UserError(
            f"{target}: a single image has no distribution; give as many as the protocol uses ({config.samples:,})"
        )
    notes = [f"{target}: lossy images (JPEG or WebP); compression alone changes scores"] if images.lossy else []
    for note in notes:
        logger.warning(note)
    return [stored_images(images, config)], notes


def named_images(
    plan: Plan, name: str, splits: Sequence[str] | None, count: int | None, resolution: int | None, resize: str
) -> ImageSource:
    """Images of a dataset or pack (`splits`, by default all), a folder, an archive or arrays; at most `count`."""
    base, _, split = name.partition(":")
    command = plan.command("prepare", base) if base in plan.datasets and not Path(base).exists() else None
    folder = plan.paths.data(base) if command else Path(base)
    if not (folder / MANIFEST).exists():
        if command:
            raise UserError(f"{folder}: not there; run `{command}` first")
        return image_sources.from_path(Path(name), count, resolution, resize)
    pack = Pack.open(folder, verify=True, command=command)
    rows = pack.rows([split] if split else splits or list(pack.manifest["splits"]))
    if resolution not in (None, pack.images.shape[1]):
        raise UserError(
            f"{name}: images of {pack.images.shape[1]} pixels, but the reference has {resolution}; "
            "prepare both at one resolution"
        )
    return image_sources.from_pack(pack, rows[evenly_spaced(len(rows), count)])


def _reference(
    plan: Plan,
    name: str,
    protocol: str,
    config: ProtocolConfig,
    weights_file: Path,
    weights_digest: str,
    device: torch.device,
) -> Reference:
    """Statistics from an .npz, from the stage `reference` if it computes exactly these, otherwise computed here."""
    file = Path(name)
    if file.suffix.lower() == ".npz" and file.exists() and "mu" in read_npz(file):
        return load_reference(file)
    if config.statistics is not None and name in plan.datasets:
        return published_statistics.load(plan, name, protocol)
    if name in plan.datasets and not file.exists() and _same_reference(plan.protocol(protocol), config):
        key = ReferenceKey(name, protocol)
        reference_stage.compute(plan, key)
        return load_reference(plan.paths.reference(key))
    splits = config.splits if name in plan.datasets else None
    images = named_images(plan, name, splits, config.reference_samples, None, config.resize)
    return _stored_reference(plan, name, config, images, weights_file, weights_digest, device)


def _same_reference(protocol: ProtocolConfig, config: ProtocolConfig) -> bool:
    before, after = protocol.plain(), config.plain()
    same = all(before[field] == after[field] for field in REFERENCE_FIELDS)
    return same and config.can_use_features_of(protocol)


def _stored_reference(
    plan: Plan,
    name: str,
    config: ProtocolConfig,
    images: ImageSource,
    weights_file: Path,
    weights_digest: str,
    device: torch.device,
) -> Reference:
    """A reference that belongs to no stage, stored beside the stage's under a digest of everything that changes it."""
    fields = {field: config.plain()[field] for field in REFERENCE_FIELDS if field != "splits"}
    about = {
        **fields,
        "pictures": images.digest,
        "count": images.count,
        "resolution": images.resolution,
        "weights": weights_digest,
        "features": config.stored_features,
        **({} if images.order is None else {"order": "names"}),
    }
    folder = plan.paths.state / "reference" / "evaluate" / digest(about)
    with locked(folder, f"evaluate: reference {name}", wait=True):
        if not is_finished(folder, [STATISTICS]):
            reference = compute_reference(images, config, weights_file, device, about, f"reference {name}")
            reference.save(folder / STATISTICS)
            mark_finished(folder, [STATISTICS])
    return load_reference(folder / STATISTICS)
