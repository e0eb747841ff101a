"""The analysis of variance of a table: which scores it reads, and the components in its files."""

import numpy as np
import pandas as pd
import pytest

from transgan.errors import UserError
from transgan.report import variance

RUNS = ("transgan-cifar10", "transgan-cifar10-s1")


def test_components_of_a_row_and_of_numbers_of_samples(project, scored):
    plan = project("demo")
    random = np.random.default_rng(0)
    for place, run in enumerate(RUNS):
        noise = random.normal(0, 0.1, (3, 1)) + random.normal(0, 0.01, (3, 3))
        counts = 100 + 20 * place + noise + np.array([9.0, 4.0, 0.0])
        scored(
            plan,
            run,
            fid={"values": list(counts[:, -1]), "by_count": counts.tolist(), "counts": [500, 1000, 2000]},
            **{"is": {"values": [3.0, 3.1, 3.2], "split_std": [0.1, 0.1, 0.1]}},
        )
    csv, markdown = variance.make(plan, "deviations")
    frame = pd.read_csv(csv).set_index("metric")
    assert list(frame["row"]) == ["As released", "As released"]
    fid = frame.loc["fid"]
    assert fid["training"] == pytest.approx(20 / 2**0.5, rel=0.02)
    assert fid["evaluation"] == pytest.approx(0.1, rel=0.6)
    assert [float(bias) for bias in fid["bias"].split()] == pytest.approx([9, 4, 0], abs=0.05)
    assert fid["p_value"] < 1e-6
    inception = frame.loc["is"]
    assert inception["training"] == 0  # both runs have the same scores
    assert inception["evaluation"] == pytest.approx(0.1)
    assert "500: +9.0" in markdown.read_text()


def test_rows_are_pooled_and_those_with_one_seed_are_left_out(project, scored, monkeypatch, tmp_path):
    plan = project("demo")
    for run, level in ((RUNS[0], 10.0), (RUNS[1], 12.0), ("noaug-cifar10", 50.0)):
        scored(plan, run, fid={"values": [level, level + 1]})
    assert list(variance.analysis(plan, "augmentation")["row"]) == ["TransGAN + DiffAug"]


def test_without_seeds_it_says_so(project, scored):
    plan = project("demo")
    scored(plan, RUNS[0], fid={"values": [1.0, 2.0]})
    with pytest.raises(UserError, match="no row has two scored training seeds"):
        variance.make(plan, "deviations")
