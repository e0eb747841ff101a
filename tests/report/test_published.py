"""What tables print about FID against published statistics."""

import pandas as pd
import pytest

from transgan.metrics.score_file import read_scores
from transgan.report import tables
from transgan.utils import files

RUN = "transgan-cifar10"


@pytest.fixture
def paper(project, scored):
    """The paper's scale with one scored run."""
    plan = project("paper")
    scored(plan, RUN, fid={"values": [9.0, 9.2]})
    return plan


def add_published_score(plan):
    content = read_scores(plan, RUN)
    content["protocols"]["fid50k-authors"] = {"fid": {"values": [9.3, 9.5]}}
    content["settings"]["fid50k-authors"] = {"references_fid": 0.1234, "statistics_sha256": "0" * 64}
    files.write_json(plan.paths.score(RUN), content)


def made(plan, table="unconditional"):
    tables.make(plan, table)
    base = plan.paths.table(table)
    return base.with_suffix(".md").read_text(), pd.read_csv(base.with_suffix(".csv"))


def test_without_the_statistics_a_line_says_how_to_get_them(paper):
    text, frame = made(paper)
    line = next(line for line in text.splitlines() if "fid50k-authors" in line)
    assert "Not measured under `fid50k-authors`" in line
    assert "`fid_stats_cifar10_train.npz` (CIFAR-10), `stl10_train_unlabeled_fid_stats_48.npz` (STL-10)" in line
    assert "the folder fid_stat of https://github.com/VITA-Group/TransGAN" in line
    assert "`transgan reference --import FILE --scale paper" in line
    assert frame["published_fid"].isna().all()
    assert frame["references_fid"].isna().all()
    assert "FID, published statistics" not in text


def test_with_them_a_line_gives_the_distance_between_both_references(paper):
    add_published_score(paper)
    text, frame = made(paper)
    lines = [line for line in text.splitlines() if "fid50k-authors" in line]
    assert len(lines) == 2
    assert (
        "CIFAR-10: FID between this project's reference `cifar10-fid50k-train` and the published statistics "
        "`fid_stats_cifar10_train.npz` (`fid50k-authors`) is 0.123." in lines[0]
    )
    assert "`fid_stats_cifar10_train.npz`" not in lines[1]  # only STL-10's are missing
    line = frame[frame["published_fid"].notna()]
    assert line[["row", "metric", "published_statistics"]].values.tolist() == [
        ["TransGAN", "fid", "fid_stats_cifar10_train.npz"]
    ]
    assert line[["ours", "published_fid", "references_fid"]].values.tolist()[0] == pytest.approx([9.1, 9.4, 0.1234])
    heading, row = (
        next(line for line in text.splitlines() if first in line and second in line).split("|")
        for first, second in (("| Row", "FID, published statistics"), ("| CIFAR-10 FID ", f"| {RUN} "))
    )
    position = [part.strip() for part in heading].index("FID, published statistics")
    assert row[position].strip() == "9.40"


def test_demo_tables_say_nothing_of_them(project, scored):
    plan = project("demo")
    scored(plan, RUN, fid={"values": [9.0]})
    text, _ = made(plan)
    assert "authors" not in "".join(line for line in text.splitlines() if line.startswith("- "))


def test_a_table_of_other_datasets_names_only_its_own(paper):
    text, _ = made(paper, "highres")
    line = next(line for line in text.splitlines() if "Not measured under" in line)
    assert "fid_stats_church_256.npz" in line
    assert "cifar10" not in line
