"""The tidy frame of cells: a line per training seed, read back with one call, and one file for a whole scale."""

import pandas as pd
import pytest
import yaml

from tests.report.conftest import PARAMS
from transgan.errors import UserError
from transgan.report import cells_frame, tables
from transgan.report.cells_frame import CELL, COLUMNS
from transgan.report.paper_numbers import paper_numbers

RUN, SECOND = "transgan-cifar10", "transgan-cifar10-s1"


@pytest.fixture
def two_seeds(project, scored, tmp_path):
    """The paper's scale with two training seeds of one cell, both scored."""
    content = yaml.safe_load(PARAMS.read_text())
    content["runs"][SECOND] = {**content["runs"][RUN], "seed": 1}
    for scale in content["scales"].values():
        scale["runs"][SECOND] = {}
    row = next(row for row in content["tables"]["unconditional"]["rows"] if row["name"] == "TransGAN")
    row["runs"]["cifar10"] = [RUN, SECOND]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    plan = project("paper", tmp_path / "params.yaml")
    scored(plan, RUN, fid={"values": [9.0, 9.2]}, **{"is": {"values": [9.0, 9.1], "split_std": [0.1, 0.3]}})
    scored(plan, SECOND, fid={"values": [11.0, 11.2]})
    return plan


def test_a_line_per_training_seed_with_its_own_score_and_the_cells_verdict(two_seeds):
    frame = cells_frame.cells_frame(two_seeds)
    lines = frame[(frame["table"] == "unconditional") & (frame["row"] == "TransGAN") & (frame["column"] == "CIFAR-10")]
    fid = lines[lines["metric"] == "fid"]
    assert fid["seed"].tolist() == [0, 1]
    assert fid["run"].tolist() == [RUN, SECOND]
    assert fid["ours"].tolist() == pytest.approx([9.1, 11.1])
    assert fid["std"].tolist() == pytest.approx([0.02**0.5] * 2)
    assert fid["mean"].tolist() == pytest.approx([10.1, 10.1])
    assert fid["paper"].tolist() == [9.26, 9.26]
    assert fid["difference"].tolist() == pytest.approx([0.84, 0.84])
    assert fid["verdict"].tolist() == ["reproduced", "reproduced"]
    assert fid["fingerprint"].tolist() == [two_seeds.fingerprint("score", run) for run in (RUN, SECOND)]
    inception = lines[lines["metric"] == "is"]
    assert inception["ours"].tolist() == pytest.approx([9.05, float("nan")], nan_ok=True)
    assert inception["split_std"].tolist() == pytest.approx([0.2, float("nan")], nan_ok=True)
    assert inception["note"].tolist()[1] == "fid50k-train does not measure IS"


def test_every_cell_of_the_paper_is_in_the_frame(two_seeds):
    frame = cells_frame.cells_frame(two_seeds)
    quoted = frame[frame["paper_text"].notna()]
    keys = set(quoted[["table", "row", "dataset", "metric"]].itertuples(index=False, name=None))
    assert keys == {key for key in paper_numbers() if key[0] in two_seeds.params.tables}
    assert not frame.duplicated([*CELL, "seed"]).any()


def test_the_file_of_a_scale_is_read_with_one_call(two_seeds):
    for table in two_seeds.score_tables:
        tables.make(two_seeds, table)
    cells_frame.write(two_seeds)
    read = pd.read_csv(two_seeds.paths.cells, dtype_backend="numpy_nullable")
    assert list(read) == list(COLUMNS)
    for column, kind in COLUMNS.items():
        if read[column].notna().any():
            assert str(read[column].dtype) == {"str": "string", "float64": "Float64"}.get(kind, kind), column
    expected = cells_frame.cells_frame(two_seeds)
    pd.testing.assert_frame_equal(pd.read_csv(two_seeds.paths.cells, dtype=COLUMNS), expected)


def test_a_missing_table_is_named(project):
    with pytest.raises(UserError, match=r"unconditional\.csv: not there; run `transgan table unconditional"):
        cells_frame.write(project())


def test_a_table_of_an_older_version_is_named(two_seeds):
    for table in two_seeds.score_tables:
        tables.make(two_seeds, table)
    two_seeds.paths.table("scaling").with_suffix(".csv").write_text("table,row,ours\nscaling,TransGAN-S,1.0\n")
    with pytest.raises(
        UserError, match=r"scaling\.csv: its columns are not those of this version; run `transgan table sc"
    ):
        cells_frame.write(two_seeds)
