"""Titles of runs: from the tables' rows and columns, with the real resolution, and never twice in a figure."""

from transgan.report.titles import run_titles

from .conftest import PARAMS


def titles(plan, *runs):
    return list(run_titles(plan, runs).values())


def test_a_title_has_the_row_the_dataset_and_the_resolution(project):
    assert titles(project("paper"), "transgan-cifar10", "transgan-church256", "grid-celeba64", "v1-s-cifar10") == [
        "TransGAN, CIFAR-10, 32 x 32",
        "TransGAN, LSUN Church, 256 x 256",
        "(D) Grid self-attention, CelebA, 64 x 64",
        "TransGAN-S, CIFAR-10, 32 x 32",
    ]


def test_digits_that_stand_in_are_named(project):
    assert titles(project("demo"), "transgan-cifar10", "transgan-celeba128") == [
        "TransGAN as on CIFAR-10 (digits, 8 x 8)",
        "TransGAN as on CelebA 128 (digits, 8 x 8)",
    ]


def test_a_run_without_a_table_has_its_title_or_its_own_name(project, tmp_path):
    assert titles(project("demo"), "transgan-digits") == ["TransGAN on digits, 8 x 8"]
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS.read_text().replace("title: TransGAN on digits, ", ""))
    assert titles(project("demo", file), "transgan-digits") == ["transgan-digits, 8 x 8"]


def test_a_title_changes_the_figures_of_its_run_and_nothing_that_is_trained_or_scored(project, tmp_path):
    before = project("demo")
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS.read_text().replace("title: TransGAN on digits, ", "title: Another, "))
    after = project("demo", file)

    def same(stage, subject):
        return before.fingerprint(stage, subject) == after.fingerprint(stage, subject)

    assert not same("figure", "samples")
    assert same("figure", "deviations")
    assert same("train", "transgan-digits")
    assert same("score", "transgan-digits")


def test_runs_that_would_share_a_title_are_told_apart(project, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS.read_text().replace("title: TransGAN without DiffAug", "title: TransGAN"))
    assert titles(project("paper", file), "transgan-cifar10", "noaug-cifar10", "transgan-stl10") == [
        "TransGAN, CIFAR-10, 32 x 32 (transgan-cifar10)",
        "TransGAN, CIFAR-10, 32 x 32 (noaug-cifar10)",
        "TransGAN, STL-10, 48 x 48",
    ]


def test_a_row_may_have_another_title_in_figures(project):
    assert titles(project("paper"), "transgan-cifar10", "noaug-cifar10") == [
        "TransGAN, CIFAR-10, 32 x 32",
        "TransGAN without DiffAug, CIFAR-10, 32 x 32",
    ]


def test_the_titles_of_every_figure_are_unique(project):
    for scale in ("demo", "quick", "paper"):
        plan = project(scale)
        for figure in plan.params.figures:
            runs = plan.figure_runs(figure)
            assert len(set(titles(plan, *runs))) == len(runs)
