"""Measures a generator under two protocols and against two references, for `transgan audit`.

One protocol and reference are those of a claimed number (the paper's), the others are this project's. Every FID of one
protocol comes from the same samples, so differences between references hold no noise of sampling.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from transgan.config.fingerprint import REFERENCE_FIELDS, digest
from transgan.config.plan import Plan, Run
from transgan.config.reference_key import ReferenceKey
from transgan.errors import UserError
from transgan.metrics import generator_files, published_statistics, weights
from transgan.schema import ProtocolConfig
from transgan.scoring import reference as reference_stage
from transgan.scoring.score import run_like
from transgan.utils import files

if TYPE_CHECKING:
    from transgan.metrics.reference_statistics import Reference
    from transgan.models.base import GeneratorNetwork

logger = logging.getLogger(__name__)

THEIRS = "theirs"
# Shares of the samples at which FID is also computed, to show its bias.
COUNT_SHARES = (0.2, 0.4, 1.0)


@dataclass(frozen=True)
class Side:
    """A protocol and its reference: the claimed number's, or this project's.

    `reference` names the statistics. `missing` says how to get them if they are not there.
    """

    protocol: str
    reference: str
    missing: str = ""


@dataclass(frozen=True)
class Audit:
    """FID of one generator, a value per evaluation seed, by the protocol of the samples and the reference.

    The first word of a name is the protocol of the samples, the second the reference. Those against a missing reference
    are empty. `references_fid` is FID between both references, `floor` FID between two disjoint halves of this
    project's. `variants` are one evaluation seed under a changed protocol of the claim, against this project's
    reference: FID by what was changed. `by_count` is FID by number of samples in the same way.
    """

    target: str
    like: str
    theirs: Side
    ours: Side
    title: str
    theirs_theirs: tuple[float, ...]
    theirs_ours: tuple[float, ...]
    ours_theirs: tuple[float, ...]
    ours_ours: tuple[float, ...]
    references_fid: float | None
    floor: float | None
    self_fid: float | None
    reference_images: int
    same_samples: bool
    variants: Mapping[str, float]
    by_count: Mapping[int, float]
    warnings: tuple[str, ...]

    @property
    def std(self) -> float | None:
        """Standard deviation over evaluation seeds under the claim's protocol; None for a single seed."""
        values = self.theirs_theirs or self.theirs_ours
        return stdev(values) if len(values) > 1 else None

    @property
    def audited(self) -> float:
        """What is held against the claimed number: the measurement that is nearest to the claim's."""
        return fmean(self.theirs_theirs or self.theirs_ours)


def audit(
    plan: Plan,
    target: str,
    like: str | None = None,
    ours: str | None = None,
    theirs: str | None = None,
    statistics: Path | None = None,
) -> Audit:
    """Measure `target`, a run or a generator file, under both protocols and against both references.

    Args:
        plan: the plan.
        target: a run of the plan, a .safetensors of this project or a .pth of the authors.
        like: for a file, the run whose data and protocol apply; by default the first one with its resolution.
        ours: name of this project's protocol; by default the run's.
        theirs: name of the claim's protocol; by default the first one that names published statistics of the run's
            dataset in the same features, else the run's.
        statistics: an .npz with mu and sigma that replaces the reference of the claim's protocol.

    Raises UserError when something is missing, or the protocols measure other features.
    """
    generator, run = _opened(plan, target, like)
    our_name = ours or run.protocol_name
    their_name = theirs or _claims_protocol(plan, run, plan.protocol(our_name)) or run.protocol_name
    our_protocol, their_protocol = plan.protocol(our_name), plan.protocol(their_name)
    _check_protocols(plan, our_name, their_name)
    reference_stage.compute(plan, ReferenceKey(run.dataset_name, our_name))
    weights_file, weights_digest = weights.locate(plan, our_protocol)

    from transgan.hardware.device import prepare_compute
    from transgan.metrics.evaluator import title
    from transgan.metrics.fid import frechet_distance
    from transgan.metrics.reference_statistics import load_reference

    device = prepare_compute(our_protocol.threads, plan.device)
    our_reference = load_reference(plan.paths.reference(ReferenceKey(run.dataset_name, our_name)))
    their_side, their_reference = _their_reference(plan, run, our_name, their_name, our_reference, statistics)
    published = {} if their_reference is None else {THEIRS: their_reference}

    def measure(protocol: ProtocolConfig, label: str) -> dict[str, Any]:
        from transgan.metrics.evaluator import evaluate_sources, generator_sources

        sources = generator_sources(generator, protocol)
        return evaluate_sources(sources, our_reference, protocol, weights_file, device, f"audit {label}", published)

    same_samples = their_protocol.takes_the_samples_of(our_protocol)
    claimed = measure(_fid_only(their_protocol, by_count=True), their_name)
    own = claimed if same_samples else measure(_fid_only(our_protocol), our_name)
    other = "round" if their_protocol.quantize == "truncate" else "truncate"
    one_seed = _fid_only(their_protocol, quantize=other, seeds=their_protocol.seeds[:1])
    variant = measure(one_seed, f"{their_name}, {other}")
    fid = claimed["metrics"]["fid"]
    measured = Audit(
        target=target,
        like=run.name,
        theirs=their_side,
        ours=Side(our_name, str(ReferenceKey(run.dataset_name, our_name))),
        title=title("fid", our_protocol),
        theirs_theirs=tuple(claimed.get("published", {}).get(THEIRS, ())),
        theirs_ours=tuple(fid["values"]),
        ours_theirs=tuple(own.get("published", {}).get(THEIRS, ())),
        ours_ours=tuple(own["metrics"]["fid"]["values"]),
        references_fid=None
        if their_reference is None
        else frechet_distance(our_reference.statistics, their_reference.statistics),
        floor=our_reference.floor,
        self_fid=our_reference.self_fid,
        reference_images=our_reference.statistics.count,
        same_samples=same_samples,
        variants={_quantization(their_protocol.quantize): fid["values"][0]}
        | {_quantization(other): variant["metrics"]["fid"]["values"][0]},
        by_count=dict(zip(fid.get("counts", ()), fid.get("by_count", ((),))[0], strict=True)),
        warnings=tuple(
            dict.fromkeys([*([generator.caution] if generator.caution else []), *claimed["warnings"], *own["warnings"]])
        ),
    )
    logger.info(f"audit {target}: extractor weights {weights_digest[:12]}, like {run.name}")
    return measured


def keep(plan: Plan, name: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Write a result to the state folder before it is printed, as `evaluate` does; `name` are the arguments."""
    path = plan.paths.state / "audits" / f"{digest(dict(name))}.json"
    try:
        files.write_json(path, content)
    except UserError as error:
        logger.warning(f"audit: {error}; the result is only printed")
    else:
        logger.info(f"audit: written to {path}")


def run_of(plan: Plan, target: str, like: str | None = None) -> Run:
    """The run that `target` is, or is scored like. Raises UserError if there is none."""
    return _opened(plan, target, like)[1]


def _opened(plan: Plan, target: str, like: str | None) -> "tuple[GeneratorNetwork, Run]":
    if not generator_files.is_generator_file(plan, target):
        run = plan.run(target)
        if like is not None:
            raise UserError(f"--like is for generator files, and {target} is a run; leave --like out")
        return generator_files.load_trained(plan, target), run
    generator = generator_files.load(Path(target))
    return generator, run_like(plan, Path(target), generator.resolution, like)


def _claims_protocol(plan: Plan, run: Run, ours: ProtocolConfig) -> str | None:
    """The first protocol with published statistics of the run's dataset in the same features."""
    return next(
        (
            name
            for name, protocol in plan.protocols.items()
            if protocol.statistics is not None
            and run.dataset_name in protocol.statistics.files
            and _same_features(protocol, ours)
        ),
        None,
    )


def _same_features(one: ProtocolConfig, other: ProtocolConfig) -> bool:
    return all(getattr(one, field) == getattr(other, field) for field in ("extractor", "weights", "feature_layer"))


def _check_protocols(plan: Plan, ours: str, theirs: str) -> None:
    for name in (ours, theirs):
        if "fid" not in plan.protocol(name).metrics:
            raise UserError(f"{plan.file}: protocol {name} does not measure FID; name another one")
    if plan.protocol(ours).statistics is not None:
        raise UserError(
            f"{plan.file}: protocol {ours} measures against published statistics; name it with --paper-protocol"
        )
    if not _same_features(plan.protocol(ours), plan.protocol(theirs)):
        raise UserError(
            f"{plan.file}: protocols {ours} and {theirs} have different extractors or layers, so their FIDs are on "
            "different scales; name two of one extractor"
        )


def _their_reference(
    plan: Plan, run: Run, ours: str, theirs: str, our_reference: "Reference", statistics: Path | None
) -> "tuple[Side, Reference | None]":
    """The reference of the claim's protocol: a named file, published statistics, or one of this project's."""
    from transgan.metrics.reference_statistics import load_reference

    protocol, our_protocol = plan.protocol(theirs), plan.protocol(ours)
    if statistics is not None:
        reference = load_reference(statistics)
        if len(reference.statistics.mu) != len(our_reference.statistics.mu):
            raise UserError(
                f"{statistics}: mu has {len(reference.statistics.mu):,} values, but {ours} has "
                f"{len(our_reference.statistics.mu):,} features; name statistics of the same layer"
            )
        return Side(theirs, str(statistics)), reference
    if protocol.statistics is not None:
        name = published_statistics.file_name(plan, run.dataset_name, theirs)
        if plan.paths.published_statistics(name).exists():
            return Side(theirs, name), published_statistics.load(plan, run.dataset_name, theirs)
        return Side(theirs, name, published_statistics.how_to_get(plan, theirs, name)), None
    key = ReferenceKey(run.dataset_name, theirs)
    if all(getattr(protocol, field) == getattr(our_protocol, field) for field in REFERENCE_FIELDS):
        return Side(theirs, str(ReferenceKey(run.dataset_name, ours))), our_reference
    reference_stage.compute(plan, key)
    return Side(theirs, str(key)), load_reference(plan.paths.reference(key))


def _fid_only(protocol: ProtocolConfig, by_count: bool = False, **changes: Any) -> ProtocolConfig:
    """The protocol with FID as its only metric, and with several numbers of samples if `by_count`."""
    shares = tuple(round(share * protocol.samples) for share in COUNT_SHARES)
    counts = (protocol.fid_counts or shares) if by_count and shares[0] > 1 else ()
    return protocol.model_copy(update={"metrics": ("fid",), "fid_counts": counts, "statistics": None, **changes})


def _quantization(name: str) -> str:
    return {"truncate": "truncated to uint8", "round": "rounded to uint8"}[name]
