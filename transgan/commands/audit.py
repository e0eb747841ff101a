"""`transgan audit`: which part of a difference from a claimed FID is the reference, the protocol, the generator.

The claim was measured on some samples S' against some reference R', this project measures S against R. The generator's
part is what remains under the claim's own protocol and reference, FID(S', R') minus the claim. The rest is shared
between protocol and reference: a change's part is its effect averaged over both orders of making the two changes, which
for two factors is the Shapley value, so that the parts add up to FID(S, R) minus the claim.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from transgan.config.plan import Plan, Run
from transgan.errors import UserError
from transgan.metrics.tolerance import ROUNDING, tolerance
from transgan.report.paper_numbers import paper_numbers
from transgan.scoring import audit as auditing
from transgan.scoring.audit import Audit
from transgan.utils.console import say, say_json

GENERATOR, PROTOCOL, REFERENCE = "generator", "protocol", "reference"
TOGETHER = "generator and reference"
TOTAL = "in all"
# Two references of the same images differ by the rounding of their arithmetic only.
SAME_IMAGES = 0.01


@dataclass(frozen=True)
class Claim:
    """A claimed FID and where it is from."""

    fid: float
    source: str


def audit(
    plan: Plan,
    target: str,
    like: str | None,
    expect: float | None,
    within: float | None,
    ours: str | None,
    theirs: str | None,
    statistics: Path | None,
    as_json: bool,
) -> bool:
    """Measure, print the table or JSON, and return whether the claim holds.

    Raises UserError for bad input: before anything is measured where no claimed number is known.
    """
    run = auditing.run_of(plan, target, like)
    claim = Claim(expect, "--expect") if expect is not None else _papers(plan, run)
    for option, value in (("--expect", expect), ("--tolerance", within)):
        if value is not None and not 0 <= value < math.inf:
            raise UserError(f"{option} {value}: must be a finite number and not negative")
    measured = auditing.audit(plan, target, like, ours, theirs, statistics)
    allowed = tolerance("fid", claim.fid, None, measured.std) if within is None else within
    result = _content(measured, claim, allowed)
    names = {"target": target, "like": like, "ours": ours, "theirs": theirs, "statistics": str(statistics or "")}
    auditing.keep(plan, names, result)
    if as_json:
        say_json(result)
    else:
        say("\n".join(render(measured, claim, allowed)))
    return bool(result["within"])


def parts(measured: Audit, claim: float) -> dict[str, float]:
    """The difference FID(ours) - claim, by its parts, which add up to the last one, `in all`.

    Without the claim's reference, the parts of generator and reference cannot be told apart and are one.
    """
    theirs_ours, ours_ours = fmean(measured.theirs_ours), fmean(measured.ours_ours)
    total = {TOTAL: ours_ours - claim}
    if not measured.theirs_theirs:
        return {PROTOCOL: ours_ours - theirs_ours, TOGETHER: theirs_ours - claim, **total}
    theirs_theirs, ours_theirs = fmean(measured.theirs_theirs), fmean(measured.ours_theirs)
    return {
        REFERENCE: ((theirs_ours - theirs_theirs) + (ours_ours - ours_theirs)) / 2,
        PROTOCOL: ((ours_theirs - theirs_theirs) + (ours_ours - theirs_ours)) / 2,
        GENERATOR: theirs_theirs - claim,
        **total,
    }


def render(measured: Audit, claim: Claim, allowed: float) -> list[str]:
    """An audit as lines to print."""
    theirs, ours, title = measured.theirs, measured.ours, measured.title
    measurements = {
        (theirs.protocol, theirs.reference): measured.theirs_theirs,
        (theirs.protocol, ours.reference): measured.theirs_ours,
        (ours.protocol, theirs.reference): measured.ours_theirs,
        (ours.protocol, ours.reference): measured.ours_ours,
    }
    rows = [("claimed", claim.source, _number(claim.fid))]
    rows += [
        (f"samples of {protocol}", f"against {reference}", _values(values))
        for (protocol, reference), values in measurements.items()
    ]
    if measured.references_fid is not None:
        rows.append(("reference", f"{theirs.reference} against {ours.reference}", _number(measured.references_fid)))
    if measured.floor is not None:
        half = measured.reference_images // 2
        rows.append(("noise floor", f"two halves of {ours.reference}, {half:,} images each", _number(measured.floor)))
    lines = [f"{measured.target}, scored like {measured.like}: {title}", *_aligned(rows)]
    if theirs.missing:
        lines.append(f"  {theirs.reference}: not imported, so nothing is measured against it; {theirs.missing}")
    lines += [f"  {sentence}" for sentence in _about_references(measured)]
    lines += ["", "Parts of the difference from the claimed number"]
    lines += _aligned(
        [(name, _why(name, measured), f"{value:+.3f}") for name, value in parts(measured, claim.fid).items()]
    )
    variants = [(what, "", _number(value)) for what, value in measured.variants.items()]
    variants += [(f"{count:,} samples", "", _number(value)) for count, value in measured.by_count.items()]
    lines += ["", f"The same generator under changes of {theirs.protocol}, one evaluation seed, {ours.reference}"]
    lines += [*_aligned(variants), ""]
    lines += [f"warning: {warning}" for warning in measured.warnings]
    return [*lines, _conclusion(measured, claim, allowed)]


def _about_references(measured: Audit) -> list[str]:
    """What FID between both references says, beside the noise floor."""
    distance, floor = measured.references_fid, measured.floor
    if distance is None:
        return []
    if distance < SAME_IMAGES:
        return ["Both references are of the same images, crop, resize and extractor."]
    if floor is not None and distance <= floor:
        return ["The references differ by no more than two random halves of this project's do."]
    return [
        "The references differ by more than noise: other images, another crop, resize or compression, or another "
        "extractor."
    ]


def _why(name: str, measured: Audit) -> str:
    noise = "" if measured.std is None else f" (one evaluation moves by ± {measured.std:.3f})"
    if name == PROTOCOL and measured.same_samples:
        return "both protocols take the same samples"
    return {
        REFERENCE: f"{measured.ours.reference} instead of {measured.theirs.reference}",
        PROTOCOL: f"samples of {measured.ours.protocol} instead of {measured.theirs.protocol}",
        GENERATOR: f"what remains under the claim's protocol and reference{noise}",
        TOGETHER: f"cannot be told apart without {measured.theirs.reference}{noise}",
        TOTAL: f"samples of {measured.ours.protocol} against {measured.ours.reference}, minus the claim",
    }[name]


def _conclusion(measured: Audit, claim: Claim, allowed: float) -> str:
    against = (measured.theirs if measured.theirs_theirs else measured.ours).reference
    difference = measured.audited - claim.fid
    verdict = "holds" if _holds(measured, claim, allowed) else "does not hold"
    return (
        f"The claim {claim.fid:g} {verdict}: {measured.title} {measured.audited:.3f} under {measured.theirs.protocol} "
        f"against {against}, {difference:+.3f}, allowed ± {allowed:.3f}."
    )


def _holds(measured: Audit, claim: Claim, allowed: float) -> bool:
    return abs(measured.audited - claim.fid) <= allowed + ROUNDING


def _content(measured: Audit, claim: Claim, allowed: float) -> dict[str, Any]:
    return {
        "claimed": asdict(claim),
        "measured": measured.audited,
        "std": measured.std,
        "allowed": allowed,
        "within": _holds(measured, claim, allowed),
        "parts": parts(measured, claim.fid),
        "audit": _plain(asdict(measured)),
    }


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists for tuples, and text for the keys of objects."""
    return {
        key: list(value)
        if isinstance(value, tuple)
        else {str(name): each for name, each in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in content.items()
    }


def _papers(plan: Plan, run: Run) -> Claim:
    """The paper's FID in the first table that shows the run. Raises UserError where none may be compared with."""
    if not plan.scale.comparable:
        raise UserError(
            f"{run.name}: scores of scale {plan.scale_name} are not comparable with the paper's; "
            "name a number with --expect, or another --scale"
        )
    for name in plan.score_tables:
        for row in plan.table(name).rows:
            number = paper_numbers().get((name, row.name, run.dataset_name, "fid"))
            if run.name in row.runs.get(run.dataset_name, ()) and number is not None and number.value is not None:
                checked = "" if number.verified else ", recalled and not checked"
                return Claim(number.value, f"{number.source}{checked}")
    raise UserError(f"{run.name}: no FID of the paper is known for it; name a number with --expect")


def _values(values: tuple[float, ...]) -> str:
    if not values:
        return "not measured"
    if len(values) == 1:
        return _number(values[0])
    return f"{_number(fmean(values))}, evaluation seeds " + " ".join(_number(value) for value in values)


def _number(value: float) -> str:
    return f"{value:z.3f}"


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"  {name:{widths[0]}}  {what:{widths[1]}}  {value}".rstrip() for name, what, value in rows]
