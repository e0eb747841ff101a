"""Published statistics: imported from TTUR's format, compared with this project's reference, and scored against."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.scoring.conftest import REFERENCE, RUN
from transgan.config import plan
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics import published_statistics
from transgan.pipeline.freshness import freshness
from transgan.pipeline.stages import stages
from transgan.scoring import reference, score
from transgan.scoring.evaluate import evaluate

FILE = "theirs.npz"
SHIFT = 0.5  # added to every mean
PUBLISHED = {"source": "the moon", "files": {"cifar10": FILE}}


@pytest.fixture
def published(project: Path) -> Plan:
    """The ready project with a protocol `authors`: the samples of `few` against published statistics."""
    return with_protocol(statistics=PUBLISHED)


def with_protocol(**changes: Any) -> Plan:
    content = yaml.safe_load(Path("params.yaml").read_text())
    few = {key: content["protocols"]["few"][key] for key in ("extractor", "feature_layer", "samples", "seeds")}
    content["protocols"]["authors"] = {"metrics": ["fid"], **few, **changes}
    content["scales"]["tiny"]["protocols"]["authors"] = {}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return plan.load()


def write_theirs(current: Plan, shift: float = 0.0, folder: str = "downloads") -> Path:
    """This project's reference as TTUR writes statistics, every mean shifted."""
    path = Path(folder) / FILE
    path.parent.mkdir(exist_ok=True)
    with np.load(current.paths.reference(REFERENCE)) as ours:
        np.savez_compressed(path, mu=ours["mu"] + shift, sigma=ours["sigma"])
    return path


def scored(current: Plan) -> dict[str, Any]:
    score.score(current, RUN)
    content: dict[str, Any] = json.loads(current.paths.score(RUN).read_text())
    return content


@pytest.mark.parametrize("shift", [0.0, SHIFT])
def test_the_distance_between_both_references_is_known(
    published: Plan, shift: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Equal statistics: 0. Equal covariances and 64 shifted means: the squared distance of the means."""
    reference.run(published, None, None, write_theirs(published, shift))
    out = capsys.readouterr().out
    assert f"downloads/{FILE}: imported as data/archives/statistics/{FILE}" in out
    expected = f"between this project's reference cifar10-few and the published statistics is {64 * shift**2:.4f}"
    assert expected in out
    reference.run(published, "cifar10", "authors", None)
    assert expected in capsys.readouterr().out


def test_a_run_is_scored_against_both_references(published: Plan) -> None:
    before = scored(published)
    assert set(before["protocols"]) == {"few"}
    published_statistics.import_file(published, write_theirs(published))
    equal = scored(published)
    assert equal["protocols"]["few"] == before["protocols"]["few"]
    assert equal["protocols"]["authors"]["fid"]["values"] == pytest.approx(equal["protocols"]["few"]["fid"]["values"])
    assert equal["settings"]["authors"]["references_fid"] == pytest.approx(0, abs=1e-4)
    published_statistics.import_file(published, write_theirs(published, SHIFT))
    shifted = scored(published)
    assert shifted["settings"]["authors"]["references_fid"] == pytest.approx(64 * SHIFT**2, rel=1e-4)
    assert shifted["settings"]["authors"]["statistics"] == FILE
    assert shifted["protocols"]["authors"] != equal["protocols"]["authors"]


def test_an_import_makes_scores_stale_and_throws_nothing_away(
    published: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    def state() -> str:
        graph = stages(published)
        return freshness(published, {key: graph[key] for key in (f"score@{RUN}",)})[f"score@{RUN}"]

    before = scored(published)
    fingerprint = published.fingerprint("score", RUN)
    assert state() == "current"
    published_statistics.import_file(published, write_theirs(published))
    assert state() == "stale"
    scored(published)
    assert state() == "current"
    assert published.fingerprint("score", RUN) == fingerprint
    published.paths.published_statistics(FILE).unlink()
    assert state() == "current"  # another machine may lack the file
    capsys.readouterr()
    assert scored(published) == before
    assert "already finished" in capsys.readouterr().err


def test_a_protocol_with_published_statistics_changes_no_fingerprint(project: Path) -> None:
    before = {key: stage.fingerprint for key, stage in stages(plan.load()).items()}
    after = {key: stage.fingerprint for key, stage in stages(with_protocol(statistics=PUBLISHED)).items()}
    assert after == before


@pytest.mark.parametrize("field", [{"samples": 100}, {"quantize": "round"}, {"seeds": [0]}])
def test_only_the_same_samples_are_measured_under_both(project: Path, field: dict[str, Any]) -> None:
    current = with_protocol(statistics=PUBLISHED, **field)
    assert current.published_statistics(current.run(RUN)) == {}


def test_without_the_file_one_line_says_where_to_get_it(published: Plan) -> None:
    with pytest.raises(UserError) as caught:
        reference.run(published, "cifar10", "authors", None)
    assert str(caught.value) == (
        f"data/archives/statistics/{FILE}: not there; get {FILE} from the moon, "
        f"then run `transgan reference --import {FILE}`"
    )
    with pytest.raises(UserError, match=r"get theirs\.npz from the moon"):
        evaluate(published, RUN, "cifar10", "authors")
    assert set(scored(published)["protocols"]) == {"few"}  # nothing fails


def test_evaluate_measures_against_imported_statistics(published: Plan) -> None:
    published_statistics.import_file(published, write_theirs(published, SHIFT))
    values = evaluate(published, RUN, "cifar10", "authors")["metrics"]["fid"]["values"]
    assert values == pytest.approx(scored(published)["protocols"]["authors"]["fid"]["values"])


def test_a_file_that_no_protocol_names_is_refused(published: Plan) -> None:
    write_theirs(published).rename("other.npz")
    with pytest.raises(UserError, match=r"no protocol .* names statistics other\.npz \(known: theirs\.npz\)"):
        published_statistics.import_file(published, Path("other.npz"))


BAD = {
    "mu alone": {"sigma": None},
    "another layer": {"mu": np.zeros(64), "sigma": np.eye(64)},
    "not finite": {"mu": np.full(2048, np.nan)},
    "lopsided": {"sigma": np.eye(2048) + np.eye(2048, k=1)},
    "another shape": {"sigma": np.eye(2047)},
    "text": {"mu": np.array(["a"] * 2048)},
    "objects": {"mu": np.array([None] * 2048)},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_statistics_give_one_line(project: Path, name: str) -> None:
    current = with_protocol(statistics=PUBLISHED, extractor="inception-v3-compat", feature_layer="2048")
    arrays = {"mu": np.zeros(2048), "sigma": np.eye(2048)} | BAD[name]
    np.savez(FILE, **{key: value for key, value in arrays.items() if value is not None})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^theirs\.npz: ") as caught:
        published_statistics.import_file(current, Path(FILE))
    assert "\n" not in str(caught.value)
    assert not current.paths.published_statistics(FILE).exists()


def test_good_inception_statistics_are_imported(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    current = with_protocol(statistics=PUBLISHED, extractor="inception-v3-compat", feature_layer="2048")
    np.savez(FILE, mu=np.zeros(2048), sigma=np.eye(2048))
    reference.run(current, None, None, Path(FILE))
    assert "no run of scale tiny takes the samples of authors" in capsys.readouterr().out
    stored = published_statistics.load(current, "cifar10", "authors")
    assert stored.statistics.mu.shape == (2048,)
    assert stored.about["imported"] == FILE


def test_a_run_may_not_name_such_a_protocol(published: Plan) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["runs"][RUN]["protocol"] = "authors"
    Path("params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="measures against published statistics, which may be missing"):
        plan.load()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reference"], "name DATASET and PROTOCOL, or --import FILE"),
        (["reference", "cifar10", "--import", "x.npz"], "takes no DATASET"),
        (["reference", "--import", FILE], "theirs.npz: no such file"),
        (["reference", "digits", "authors"], "protocol authors has no statistics of digits (it has: cifar10)"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(published: Plan, arguments: list[str], message: str) -> None:
    done = subprocess.run([sys.executable, "-m", "transgan", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_the_list_of_references_names_published_ones(published: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    from transgan.commands import references

    references.show(published)
    assert "missing  published  cifar10-authors  get theirs.npz from the moon" in capsys.readouterr().out
    published_statistics.import_file(published, write_theirs(published))
    references.show(published)
    assert f"MiB  published  cifar10-authors  data/archives/statistics/{FILE}" in capsys.readouterr().out
