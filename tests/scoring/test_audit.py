"""`transgan audit` on digits: references whose FID is known, a missing file, and its exit codes."""

import json
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from tests.scoring.conftest import REFERENCE, RUN
from tests.scoring.test_compare_references import FILE, PUBLISHED, SHIFT, with_protocol, write_theirs
from tests.test_cli import call
from transgan.config import plan
from transgan.errors import UserError
from transgan.metrics import published_statistics
from transgan.scoring import score
from transgan.scoring.audit import audit


def test_equal_statistics_leave_everything_to_the_generator(project: Path) -> None:
    current = with_protocol(statistics=PUBLISHED)
    published_statistics.import_file(current, write_theirs(current))
    measured = audit(current, RUN)
    assert (measured.theirs.protocol, measured.theirs.reference, measured.ours.protocol) == ("authors", FILE, "few")
    assert measured.same_samples
    assert measured.references_fid == pytest.approx(0, abs=1e-4)
    assert measured.theirs_theirs == pytest.approx(measured.ours_ours)
    score.score(current, RUN)
    scored = json.loads(current.paths.score(RUN).read_text())["protocols"]["few"]["fid"]["values"]
    assert list(measured.ours_ours) == pytest.approx(scored)
    assert measured.by_count[200] == pytest.approx(scored[0])


def test_two_gaussians_whose_distance_is_known(project: Path) -> None:
    """Means shifted by s in 64 features and covariances times 4: 64 s^2 + tr(S) (1 - 2)^2."""
    current = plan.load()
    with np.load(current.paths.reference(REFERENCE)) as ours:
        mu, sigma = ours["mu"], ours["sigma"]
    np.savez("gaussian.npz", mu=mu + SHIFT, sigma=4 * sigma)
    measured = audit(current, RUN, statistics=Path("gaussian.npz"))
    assert measured.references_fid == pytest.approx(64 * SHIFT**2 + np.trace(sigma), rel=1e-3)
    assert fmean(measured.theirs_theirs) != pytest.approx(fmean(measured.theirs_ours), rel=0.01)


def test_another_protocol_takes_other_samples(project: Path) -> None:
    current = with_protocol(quantize="round", samples=100, threads=1)
    measured = audit(current, RUN, theirs="authors")
    assert not measured.same_samples
    assert measured.theirs.reference == measured.ours.reference == "cifar10-few"  # it depends on no samples
    assert measured.theirs_theirs == measured.theirs_ours != measured.ours_ours
    assert measured.variants["rounded to uint8"] == measured.theirs_ours[0]


def test_what_does_not_go_together_is_refused(project: Path) -> None:
    current = with_protocol(statistics=PUBLISHED)
    with pytest.raises(UserError, match="name it with --paper-protocol"):
        audit(current, RUN, ours="authors")
    with pytest.raises(UserError, match="leave --like out"):
        audit(current, RUN, like=RUN)
    np.savez("narrow.npz", mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(UserError, match="mu has 3 values, but few has 64 features"):
        audit(current, RUN, statistics=Path("narrow.npz"))
    with pytest.raises(UserError, match="different extractors or layers"):
        audit(with_protocol(feature_layer="logits"), RUN, theirs="authors")


def test_a_missing_file_is_named_and_the_rest_is_printed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    current = with_protocol(statistics=PUBLISHED)
    file = str(current.paths.run(RUN) / "generator.safetensors")
    code, out, _ = call(monkeypatch, capsys, "audit", file, "--like", RUN, "--expect", "1", "--json")
    found = json.loads(out)
    assert code == 1  # an untrained generator is far from 1
    assert found["parts"]["in all"] == pytest.approx(found["measured"] - 1)
    assert list(Path("state/tiny/audits").glob("*.json"))
    expect = str(found["measured"])
    code, out, _ = call(monkeypatch, capsys, "audit", RUN, "--expect", expect, "--tolerance", "0.001")
    assert code == 0
    assert f"{FILE}: not imported" in out
    assert f"get {FILE} from the moon, then run `transgan reference --import {FILE}`" in out
    assert "generator and reference  cannot be told apart" in out


def test_bad_input_is_one_line_and_exit_2(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        ((RUN,), "not comparable with the paper's; name a number with --expect"),
        (("absent.pth", "--expect", "1"), "absent.pth: not there"),
        (("two-cifar10", "--expect", "1"), "transgan train two-cifar10"),
    ):
        code, out, err = call(monkeypatch, capsys, "audit", *arguments)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
