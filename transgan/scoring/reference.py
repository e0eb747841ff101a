"""Reference statistics and features: made once per dataset and protocol, shared by all runs, listable, importable and exportable.

The .npz holds mu (D,), sigma (D, D), count, the floor (FID between two disjoint halves of the reference), self_fid (against itself: how exact
the arithmetic is), about (sorted JSON: what it was made from) and, where a metric needs them, features float32 (N, D): all for KID, prc_samples of
them, evenly spaced, where only precision and recall do.
"""

import json
import logging
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics import weights
from transgan.pipeline.freshness import require
from transgan.pipeline.workspace import run_stage
from transgan.schema import ProtocolConfig
from transgan.utils import files

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from transgan.metrics.functional import Statistics

logger = logging.getLogger(__name__)

STATISTICS = "statistics.npz"


@dataclass(frozen=True)
class Reference:
    """Loaded reference: statistics, features where they are kept, the floor (None: too few pictures for one) and where it comes from."""

    statistics: "Statistics"
    features: "Tensor | None"
    floor: float | None
    self_fid: float | None
    about: dict[str, Any]


def make(plan: Plan, name: str) -> None:
    """The stage `reference`: statistics and features of reference `name` ("<dataset>-<protocol>"), written to plan.paths.reference.

    Raises UserError when the pack or the weights are missing, or there are fewer pictures than the protocol allows.
    """
    dataset, protocol_name = plan.reference(name)
    protocol = plan.protocol(protocol_name)
    data = plan.paths.data(dataset)
    require(plan, "prepare", dataset, data / "manifest.json", "prepare", dataset)
    manifest = files.read_json(data / "manifest.json")
    path, digest = weights.locate(plan, protocol)
    about = {
        "dataset": dataset,
        "protocol": protocol_name,
        "data": manifest["sha256"],
        "weights": digest,
        "extractor": protocol.extractor,
        "feature_layer": protocol.feature_layer,
        "splits": list(protocol.splits),
        "resolution": manifest["resolution"],
    }

    def work(folder: Path) -> None:
        from transgan.data.pack import Pack
        from transgan.metrics import functional, image_sources

        pack = Pack.open(data)
        rows = pack.rows(protocol.splits)
        rows = rows[functional.evenly(len(rows), protocol.reference_samples)]
        features = features_of(plan, protocol, path, image_sources.of_pack(pack, rows), f"reference {name}")
        arrays = summarize(protocol, features, {**about, "fingerprint": plan.fingerprint("reference", name)})
        write(folder / STATISTICS, arrays)

    outputs = {STATISTICS: plan.paths.reference(dataset, protocol_name)}
    run_stage(plan, "reference", name, outputs, work, {"data": manifest["sha256"], "weights": digest})


def features_of(plan: Plan, protocol: ProtocolConfig, path: Path, pictures: Any, what: str) -> "Tensor":
    """Features float32 (N, D) of the protocol's layer, of `pictures` (see pictures.Pictures), with the weights in `path`."""
    from transgan.hardware.device import prepare_compute
    from transgan.metrics import extractors, functional

    device = prepare_compute(protocol.threads, plan.params.execution.device)
    extractor = extractors.build(protocol, path, [protocol.feature_layer], device)
    for warning in functional.check_counts(
        protocol, protocol.metrics, extractor.widths[protocol.feature_layer], {what: pictures.count}
    ):
        logger.warning(f"{warning}")
    features: Tensor = pictures.in_order(
        extractors.extract(extractor, pictures.batches(protocol.batch), pictures.count, what)[protocol.feature_layer]
    )
    return features


def summarize(protocol: ProtocolConfig, features: "Tensor", about: dict[str, Any]) -> dict[str, "NDArray[Any]"]:
    """The arrays of a reference file from features (N, D)."""
    import numpy as np

    from transgan.metrics import functional

    statistics = functional.Statistics.of(features)
    arrays: dict[str, NDArray[Any]] = {
        "mu": statistics.mu,
        "sigma": statistics.sigma,
        "count": np.array(statistics.count),
        "self_fid": np.array(functional.frechet(statistics, statistics)),
        "about": np.array(json.dumps(about, sort_keys=True)),
    }
    if len(features) // 2 >= features.shape[1]:
        arrays["floor"] = np.array(
            functional.frechet(*(functional.Statistics.of(half) for half in functional.halves(features)))
        )
    kept = protocol.kept_features
    if kept:
        arrays["features"] = features[functional.evenly(len(features), None if kept is True else kept)].numpy()
    return arrays


def write(path: Path, arrays: dict[str, "NDArray[Any]"]) -> None:
    """Write an .npz atomically; the same arrays give the same bytes."""
    import numpy as np

    with files.atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load(path: Path) -> Reference:
    """Read a reference file, ours or anybody's .npz with mu and sigma. Raises UserError when it is missing, damaged or holds something else."""
    import numpy as np
    import torch

    from transgan.metrics.functional import Statistics

    arrays = read_arrays(path)
    if not {"mu", "sigma"} <= set(arrays):
        raise UserError(
            f"{path}: has no arrays mu and sigma (it has: {', '.join(sorted(arrays))}); not reference statistics"
        )
    mu, sigma = arrays["mu"], arrays["sigma"].astype(np.float64)
    if (
        sigma.ndim == 2
        and sigma.shape[0] == sigma.shape[1]
        and ((sigma.diagonal() < 0).any() or not np.allclose(sigma, sigma.T))
    ):
        raise UserError(f"{path}: sigma is no covariance: it must be symmetric, with no negative variance")
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)) or not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise UserError(f"{path}: mu {mu.shape} and sigma {sigma.shape} must be finite, of shapes (D,) and (D, D)")
    features = torch.from_numpy(arrays["features"]) if "features" in arrays else None
    about = json.loads(str(arrays["about"])) if "about" in arrays else {"imported": path.name}
    count = int(arrays["count"]) if "count" in arrays else 0
    floor, own = (float(arrays[key]) if key in arrays else None for key in ("floor", "self_fid"))
    return Reference(Statistics(mu, sigma, count), features, floor, own, about)


def read_arrays(path: Path) -> dict[str, "NDArray[Any]"]:
    """All arrays of an .npz, nothing unpickled. Raises UserError when it is missing or damaged."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise ValueError("a single array, not an .npz archive")
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError(f"{path}: not there; `transgan reference DATASET PROTOCOL` makes it") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = (
            "its arrays are Python objects, or it is none" if "allow_pickle" in str(error) else error
        )  # numpy advises to load it unsafely
        raise UserError(f"{path}: damaged or no .npz ({reason}); delete it and make it again") from error


def export_statistics(path: Path, target: Path) -> None:
    """Write mu and sigma of a reference file alone, in double precision, as other FID programs read them."""
    import numpy as np

    reference = load(path)
    write(target, {"mu": reference.statistics.mu.astype(np.float64), "sigma": reference.statistics.sigma})


@dataclass(frozen=True)
class Kept:
    """A finished reference in the state folder."""

    name: str
    fingerprint: str
    folder: Path
    size: int
    current: bool


def kept(plan: Plan) -> Iterator[Kept]:
    """Every finished reference of this scale, current or not, by name."""
    for marker in sorted((plan.paths.state / "reference").glob("*/*/finished.json")):
        folder = marker.parent
        name, fingerprint = folder.parent.name, folder.name
        try:
            current = plan.fingerprint("reference", name) == fingerprint
        except UserError:  # the params file no longer names it
            current = False
        yield Kept(name, fingerprint, folder, sum(file.stat().st_size for file in folder.iterdir()), current)


def remove(plan: Plan, name: str) -> int:
    """Remove everything kept of reference `name`, the declared file too; returns the bytes freed. Raises UserError when there is nothing."""
    everything = list(kept(plan))
    found = [entry for entry in everything if entry.name == name]
    declared = plan.paths.results / "reference" / f"{name}.npz"
    if not found and not declared.exists():
        known = ", ".join(dict.fromkeys(entry.name for entry in everything)) or "none"
        raise UserError(f"reference {name}: nothing is kept of it at scale {plan.scale_name}; kept: {known}")
    for entry in found:
        shutil.rmtree(entry.folder)
    declared.unlink(missing_ok=True)
    return sum(entry.size for entry in found)
