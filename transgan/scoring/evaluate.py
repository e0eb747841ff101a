"""`transgan evaluate`: anything against anything under a named protocol, without a run, a table or an orchestrator.

A target is a run, a generator of ours (.safetensors) or of the authors (.pth), a dataset, a pack, a folder or archive of pictures, or an .npz of
them. A reference is a dataset, a pack, a folder, an archive, an .npz of pictures, or an .npz of statistics (mu, sigma). `NAME:SPLIT` takes one
split of a dataset or pack.
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from transgan.config.plan import REFERENCE_FIELDS, Plan, digest
from transgan.errors import UserError
from transgan.metrics import weights
from transgan.pipeline.workspace import is_finished, locked
from transgan.schema import ProtocolConfig
from transgan.utils import files

if TYPE_CHECKING:
    from transgan.metrics.evaluator import Source
    from transgan.metrics.image_sources import Pictures
    from transgan.models.base import GeneratorNetwork
    from transgan.scoring.reference import Reference

logger = logging.getLogger(__name__)

CHECKPOINTS = (".pth", ".pt")


def evaluate(
    plan: Plan,
    target: str,
    reference: str,
    protocol: str | None = None,
    metrics: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure `target` against `reference`.

    `protocol`: a name of the params file (none: the target's own if it is a run, else that of the reference's runs); `metrics` instead of the
    protocol's; `changes` of its other keys (samples, feature_layer, weights, resize ...). Returns target, reference, protocol, changes, metrics
    (as in scores/<run>.json), summary (metric -> mean, std over evaluation seeds or None), settings and warnings. Raises UserError.
    """
    name = protocol or _usual_protocol(plan, target, reference)
    config = _changed(plan, name, {**(changes or {}), **({"metrics": list(metrics)} if metrics else {})})
    from transgan.metrics.evaluator import measure

    path, weights_digest = weights.locate(plan, config)
    against = _reference(plan, reference, name, config, path, weights_digest)
    sources, notes = _sources(plan, target, config, against.about.get("resolution"))
    for note in notes:
        logger.warning(f"{note}")
    found = measure(plan, config, sources, against, path, f"evaluate {target}")
    return {
        "target": target,
        "reference": reference,
        "protocol": name,
        "changes": dict(changes or {}),
        "summary": {metric: _summary(values["values"]) for metric, values in found["metrics"].items()},
        **found,
        "settings": {**found["settings"], "weights_sha256": weights_digest, "reference": against.about},
        "warnings": [*notes, *found["warnings"]],
    }


def render(result: Mapping[str, Any]) -> str:
    """A result as lines for a person."""
    settings = result["settings"]
    changed = "".join(f", {key} {value}" for key, value in result["changes"].items())
    lines = [
        f"{result['target']} against {result['reference']}, protocol {result['protocol']}{changed}: {settings['samples']:,} pictures"
    ]
    for metric, found in result["summary"].items():
        spread = (
            f" ± {found['std']:.4g} over {len(result['metrics'][metric]['values'])} evaluation seeds"
            if found["std"] is not None
            else ""
        )
        lines.append(f"  {settings['titles'][metric]}: {found['mean']:.6g}{spread}")
    if settings["floor"] is not None and "fid" in result["summary"]:
        lines.append(
            f"  floor ({settings['titles']['fid']} between two halves of the reference): {settings['floor']:.6g}"
        )
    return "\n".join([*lines, *(f"  warning: {warning}" for warning in result["warnings"])])


def _usual_protocol(plan: Plan, target: str, reference: str) -> str:
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


def _summary(values: Sequence[float]) -> dict[str, float | None]:
    return {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None}


def _sources(
    plan: Plan, target: str, config: ProtocolConfig, resolution: int | None
) -> tuple[list["Source"], list[str]]:
    """The target's pictures, one source per evaluation seed of a generator, and what is to be said about them."""
    from transgan.metrics import samples
    from transgan.metrics.evaluator import Source

    generator = open_generator(plan, target)
    if generator is not None:
        if resolution not in (None, generator.resolution):
            raise UserError(
                f"{target}: makes {generator.resolution} pixels, the reference has {resolution}; name another reference"
            )
        return samples.sources(generator, config), []
    found = _pictures(plan, target, None, config.samples, resolution, config.resize)
    if found.count < 2:
        raise UserError(
            f"{target}: a single picture has no distribution; give as many as the protocol asks for ({config.samples:,})"
        )
    notes = [f"{target}: lossy pictures (JPEG or WebP); the compression alone changes scores"] if found.lossy else []
    return [Source("", found.count, lambda _: found.batches(config.batch), found.in_order)], notes


def open_generator(plan: Plan, target: str) -> "GeneratorNetwork | None":
    """The generator that `target` names: a run, a .safetensors of ours, a .pth of the authors; None: it names no generator."""
    from transgan.models.official_checkpoints import import_official
    from transgan.models.serialization import load_generator

    path = Path(target)
    if target in plan.runs and not path.exists():
        return load_generator(plan.paths.run(target) / "generator.safetensors").module
    if path.suffix == ".safetensors":
        return load_generator(path).module
    if path.suffix in CHECKPOINTS:
        with tempfile.TemporaryDirectory() as folder:
            return load_generator(import_official(path, Path(folder) / "generator.safetensors")).module
    return None


def _pictures(
    plan: Plan, name: str, splits: Sequence[str] | None, count: int | None, resolution: int | None, resize: str
) -> "Pictures":
    """Pictures of a dataset or pack (its `splits`, or all), a folder, an archive or an .npz; `count` of them at most, evenly spaced."""
    from transgan.data.pack import Pack
    from transgan.metrics import functional, image_sources

    base, _, split = name.partition(":")
    folder = plan.paths.data(base) if base in plan.datasets and not Path(base).exists() else Path(base)
    if not (folder / "manifest.json").exists():
        if base in plan.datasets and not Path(base).exists():
            raise UserError(f"{folder}: not there; run `{plan.command('prepare', base)}` first")
        if not Path(name).exists():
            known = ", ".join([*plan.runs, *plan.datasets])
            raise UserError(f"{name}: no file or folder, and no run or dataset of {plan.file} (known: {known})")
        return image_sources.from_path(Path(name), count, resolution, resize)
    pack = Pack.open(folder)
    rows = pack.rows([split] if split else splits or list(pack.manifest["splits"]))
    if resolution not in (None, pack.images.shape[1]):
        raise UserError(
            f"{name}: pictures of {pack.images.shape[1]} pixels, the reference has {resolution}; prepare both at one resolution"
        )
    return image_sources.of_pack(pack, rows[functional.evenly(len(rows), count)])


def _reference(
    plan: Plan, name: str, protocol: str, config: ProtocolConfig, path: Path, weights_digest: str
) -> "Reference":
    """Statistics from an .npz of them, from the stage where it makes exactly these, else made here and kept."""
    from transgan.scoring import reference

    file = Path(name)
    if file.suffix == ".npz" and file.exists() and "mu" in reference.read_arrays(file):
        return reference.load(file)
    if name in plan.datasets and not file.exists() and _same_reference(plan.protocol(protocol), config):
        reference.make(plan, f"{name}-{protocol}")
        return reference.load(plan.paths.reference(name, protocol))
    splits = config.splits if name in plan.datasets else None
    return _kept(
        plan,
        name,
        config,
        _pictures(plan, name, splits, config.reference_samples, None, config.resize),
        path,
        weights_digest,
    )


def _same_reference(protocol: ProtocolConfig, config: ProtocolConfig) -> bool:
    before, after = protocol.plain(), config.plain()
    return all(before[field] == after[field] for field in REFERENCE_FIELDS) and config.is_served_by(protocol)


def _kept(
    plan: Plan, name: str, config: ProtocolConfig, pictures: "Pictures", path: Path, weights_digest: str
) -> "Reference":
    """A reference that belongs to no stage, kept beside the stage's under a key of everything that changes it."""
    from transgan.scoring import reference

    fields = {field: config.plain()[field] for field in REFERENCE_FIELDS if field != "splits"}
    about = {
        **fields,
        "pictures": pictures.digest,
        "count": pictures.count,
        "resolution": pictures.resolution,
        "weights": weights_digest,
        "features": config.kept_features,
        **({} if pictures.order is None else {"order": "names"}),
    }
    folder = plan.paths.state / "reference" / "evaluate" / digest(about)
    with locked(folder, f"evaluate: reference {name}", wait=True):
        if not is_finished(folder, {reference.STATISTICS: folder}):
            features = reference.features_of(plan, config, path, pictures, f"reference {name}")
            reference.write(folder / reference.STATISTICS, reference.summarize(config, features, about))
            files.write_json(
                folder / "finished.json",
                {"outputs": {reference.STATISTICS: files.sha256(folder / reference.STATISTICS)}},
            )
    return reference.load(folder / reference.STATISTICS)
