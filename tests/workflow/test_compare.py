"""Snakemake's own report, DVC's metrics, plots and parameters, and a clone that builds tables without training.

One small project with a table and figures. The tests run in file order and build on each other.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from ..chromium import needs_chromium, probed
from ..conftest import TINY
from .conftest import Project, commit, finished_copy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("compare")]

FIGURES = """figures:
  samples: {kind: samples, title: Samples of two runs, source: Ours, runs: [one-cifar10, three-cifar10]}
  precision: {kind: precision_recall, title: Precision and recall, source: Ours, runs: [one-cifar10, three-cifar10]}
"""
EDIT = ("protocol: few, seed: 1}", "protocol: few, seed: 5}")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Everything made by Snakemake, adopted by DVC and committed."""
    project = finished_copy(tmp_path_factory, tmp_path_factory.mktemp("compare") / "project")
    project.set_params(TINY.read_text().replace("figures: {}\n", FIGURES))
    project.run("snakemake", "--cores", "all", "--", "report_page")
    project.dvc("repro")
    commit(project, "Results")
    return project


def test_the_report_page_is_no_part_of_the_main_job(project: Project) -> None:
    assert (project.root / "results/tiny/report.html").exists()
    assert "Nothing to be done" in project.snakemake()


def test_snakemakes_report_has_captions_labels_and_categories(project: Project, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    project.run("snakemake", "--cores", "1", "--report", str(page), "--", "report_page")
    html = page.read_text()
    for said in (
        "Samples of two runs",
        "Three small runs",
        "Not comparable with the paper",
        '"Tables"',
        '"Figures"',
        '"Report"',
        "the paper's layout",
    ):
        assert said in html or json.dumps(said)[1:-1] in html, said
    (project.root / "snakemake-report.html").write_text(html)


@needs_chromium
def test_a_browser_shows_snakemakes_report(project: Project, tmp_path: Path) -> None:
    html = (project.root / "snakemake-report.html").read_text()
    probe = """
      await new Promise(done => setTimeout(done, 1000));
      const pictures = Object.values(results).filter(r => r.mime_type.startsWith("image/"));
      const loaded = await Promise.all(pictures.map(r => new Promise(done => {
        const image = new Image();
        image.onload = () => done(image.naturalWidth > 0);
        image.onerror = () => done(false);
        image.src = r.data_uri;
      })));
      return {pictures: pictures.length, loaded: loaded.filter(Boolean).length, words: document.body.innerText};"""
    said, errors = probed(html, probe, tmp_path, settle=15000)
    assert errors == []
    assert said["pictures"] == said["loaded"] == 2
    for category in ("Tables", "Figures", "Report"):
        assert category in said["words"]


def test_dvc_shows_and_compares_scores_parameters_and_curves(project: Project) -> None:
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))
    scores = shown[""]["data"]["results/tiny/metrics/two-cifar10.json"]["data"]
    assert set(scores) == {"is", "fid", "kid", "precision", "recall"}
    project.edit(*EDIT)
    project.dvc("repro")
    metrics = json.loads(project.run("dvc", "metrics", "diff", "--json"))
    assert set(metrics) == {"results/tiny/metrics/two-cifar10.json"}
    assert metrics["results/tiny/metrics/two-cifar10.json"]["fid"]["old"] == scores["fid"]
    parameters = json.loads(project.run("dvc", "params", "diff", "--json"))
    assert parameters == {"params.yaml": {"runs.two-cifar10.seed": {"old": 1, "new": 5, "diff": 4}}}
    page = project.run("dvc", "plots", "diff", "HEAD", "workspace", "--out", "plots")
    html = (project.root / "plots" / "index.html").read_text()
    assert "index.html" in page
    assert "Critic gap while training" in html
    for run in ("one", "two", "three"):
        assert re.search(rf"{run}-cifar10/history\.csv", html), run
    shutil.rmtree(project.root / "plots")
    project.edit(*reversed(EDIT))
    project.dvc("repro")
    assert project.run("dvc", "metrics", "diff", "--json").strip() == "{}"


def test_a_clean_clone_makes_every_table_and_figure_from_the_remote_without_training(
    project: Project, tmp_path: Path
) -> None:
    project.dvc("remote", "add", "-f", "-d", "lab", str(tmp_path / "remote"))
    commit(project, "A remote")
    project.dvc("push")
    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "-q", str(project.root), str(clone.root))
    clone.run("make", "restore", "STAMP=")
    made = {
        path: content
        for path, content in project.pushed_bytes().items()
        if not path.endswith(("report.html", "cost_measured.csv")) and not path.startswith("results/tiny/report/")
    }
    for folder in ("tables", "figures"):
        shutil.rmtree(clone.root / "results/tiny" / folder)
    output = clone.snakemake()
    assert clone.bytes() == made
    assert " table" in output.split(" jobs: ")[1].splitlines()[0]
    assert " figure" in output.split(" jobs: ")[1].splitlines()[0]
    assert clone.work("train") == clone.work("score") == {}
