"""What `make restore` says of results that DVC has not restored."""

from pathlib import Path

import pytest

from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.pipeline.restored import check, missing, write_missing_metrics
from transgan.pipeline.stages import stages
from transgan.utils import files


@pytest.fixture
def restored(project: Path) -> Path:
    """A project whose declared outputs all exist."""
    for stage in stages(plans.load()).values():
        for path in stage.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return project


def test_missing_packs_matter_only_if_they_are_pushed(restored: Path) -> None:
    for path in Path("data").glob("*/*/images.npy"):
        path.unlink()
    check(plans.load())
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("mirror: null", "mirror: null\n  push_packs: true"))
    assert missing(plans.load()) == [Path("data/tiny/digits/images.npy"), Path("data/tiny/cifar10/images.npy")]


def test_the_message_counts_and_names_what_is_missing(restored: Path) -> None:
    Path("results/tiny/scores/one-cifar10.json").unlink()
    with pytest.raises(UserError, match=r"1 results: results/tiny/scores/one-cifar10\.json; `dvc push`"):
        check(plans.load())


def test_missing_metrics_are_written_from_the_scores(restored: Path) -> None:
    kept, gone, other = (Path(f"results/tiny/metrics/{run}-cifar10.json") for run in ("one", "two", "three"))
    files.write_json(kept, {"fid": 7.0})
    gone.unlink()
    other.unlink()
    scores = {"protocols": {"few": {"fid": {"values": [1.0, 2.0]}, "is": {"values": [3.0]}}}}
    files.write_json(Path("results/tiny/scores/two-cifar10.json"), scores)
    files.write_json(Path("results/tiny/scores/three-cifar10.json"), {"protocols": {"many": {}}})
    write_missing_metrics(plans.load())
    assert files.read_json(gone) == {"fid": 1.5, "is": 3.0}
    assert files.read_json(kept) == {"fid": 7.0}
    assert not other.exists()
