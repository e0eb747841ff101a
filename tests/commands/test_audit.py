"""The parts of a difference from a claimed number, from measurements whose parts are known."""

from pathlib import Path
from typing import Any

import pytest

from transgan.commands import audit as tool
from transgan.commands.audit import GENERATOR, PROTOCOL, REFERENCE, TOGETHER, TOTAL, Claim, parts, render
from transgan.config import plan
from transgan.errors import UserError
from transgan.scoring import audit as auditing
from transgan.scoring.audit import Audit, Side

CLAIM = Claim(9.26, "the paper")
PLAIN: dict[str, Any] = {
    "target": "x.pth",
    "like": "transgan-cifar10",
    "theirs": Side("fid50k-authors", "theirs.npz"),
    "ours": Side("fid50k-train", "cifar10-fid50k-train"),
    "title": "FID",
    "theirs_theirs": (9.3, 9.4),
    "theirs_ours": (9.5, 9.6),
    "ours_theirs": (9.3, 9.4),
    "ours_ours": (9.5, 9.6),
    "references_fid": 0.3,
    "floor": 0.5,
    "self_fid": 0.0,
    "reference_images": 50000,
    "same_samples": True,
    "variants": {"rounded to uint8": 9.2},
    "by_count": {10000: 12.0, 50000: 9.5},
    "warnings": (),
}


def measured(**changes: Any) -> Audit:
    return Audit(**{**PLAIN, **changes})


def text(of: Audit, claim: Claim = CLAIM, allowed: float = 0.1) -> str:
    return "\n".join(render(of, claim, allowed))


def test_the_same_samples_leave_nothing_to_the_protocol() -> None:
    assert parts(measured(), 9.26) == pytest.approx(
        {REFERENCE: 0.2, PROTOCOL: 0.0, GENERATOR: 9.35 - 9.26, TOTAL: 9.55 - 9.26}
    )


def test_effects_that_add_are_found_as_planted() -> None:
    """A generator worse by 1, a reference by 0.2, a protocol by 0.03."""
    planted = measured(
        theirs_theirs=(10.26,), theirs_ours=(10.46,), ours_theirs=(10.29,), ours_ours=(10.49,), same_samples=False
    )
    assert parts(planted, 9.26) == pytest.approx({REFERENCE: 0.2, PROTOCOL: 0.03, GENERATOR: 1.0, TOTAL: 1.23})


def test_an_interaction_is_shared_equally_and_the_parts_add_up() -> None:
    of = measured(theirs_theirs=(1.0,), theirs_ours=(1.0,), ours_theirs=(1.0,), ours_ours=(3.0,), same_samples=False)
    found = parts(of, 0.5)
    assert found[REFERENCE] == found[PROTOCOL] == 1.0
    assert found[REFERENCE] + found[PROTOCOL] + found[GENERATOR] == pytest.approx(found[TOTAL])


def test_without_the_claims_reference_two_parts_are_one_and_the_line_says_how_to_get_it() -> None:
    theirs = Side("fid50k-authors", "theirs.npz", "get theirs.npz from the authors, then run `transgan reference`")
    of = measured(theirs=theirs, theirs_theirs=(), ours_theirs=(), references_fid=None)
    assert parts(of, 9.26) == pytest.approx({PROTOCOL: 0.0, TOGETHER: 0.29, TOTAL: 0.29})
    assert "theirs.npz: not imported" in text(of)
    assert "get theirs.npz from the authors" in text(of)
    assert "does not hold: FID 9.550 under fid50k-authors against cifar10-fid50k-train, +0.290" in text(of)


@pytest.mark.parametrize(("allowed", "verdict"), [(0.1, "holds"), (0.09, "holds"), (0.08, "does not hold")])
def test_the_claims_own_protocol_and_reference_decide(allowed: float, verdict: str) -> None:
    assert f"The claim 9.26 {verdict}: FID 9.350" in text(measured(), allowed=allowed)


@pytest.mark.parametrize(
    ("distance", "sentence"),
    [(0.0001, "of the same images"), (0.4, "no more than two random halves"), (0.6, "by more than noise")],
)
def test_the_distance_of_the_references_is_held_against_the_floor(distance: float, sentence: str) -> None:
    assert sentence in text(measured(references_fid=distance))


def test_the_papers_number_is_the_default_where_scores_are_comparable(monkeypatch: pytest.MonkeyPatch) -> None:
    of = plan.load(scale="paper")
    monkeypatch.setattr(auditing, "run_of", lambda *_: of.run("transgan-cifar10"))
    monkeypatch.setattr(auditing, "audit", lambda *_: measured())
    monkeypatch.setattr(auditing, "keep", lambda *_: None)
    assert tool.audit(of, "x.pth", None, None, None, None, None, None, True)  # 9.35, and 3% of 9.26 are 0.278
    assert not tool.audit(of, "x.pth", None, None, 0.05, None, None, None, False)
    demo = plan.load(scale="demo")
    with pytest.raises(UserError, match="not comparable with the paper's; name a number with --expect"):
        tool.audit(demo, "x.pth", None, None, None, None, None, None, False)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    of = plan.load(Path("params.yaml"), "demo")
    monkeypatch.setattr(auditing, "run_of", lambda *_: of.run("transgan-digits"))
    with pytest.raises(UserError, match="must be a finite number and not negative"):
        tool.audit(of, "transgan-digits", None, value, None, None, None, None, False)
