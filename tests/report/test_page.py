"""The report page and the trace behind each cell: links, doubts, numbers, and no error in a browser."""

import json
import re
from html.parser import HTMLParser

import pytest

from transgan.errors import UserError
from transgan.report import cost_table, page, tables, trace
from transgan.utils import files

from ..chromium import needs_chromium, probed

RUN, OTHER = "transgan-cifar10", "transgan-stl10"
COMMIT = "c" * 40


class Page(HTMLParser):
    """Ids, links and images of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.sources = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.sources += [found["src"]] if "src" in found else []


@pytest.fixture
def reported(project, scored, monkeypatch):
    """A demo with one scored run of known provenance, its tables, and the report; MLflow is left out."""
    monkeypatch.setattr("transgan.tracking.record_tables", lambda plan: None)
    monkeypatch.setattr("transgan.report.cost_table.counted", lambda plan, run: dict.fromkeys(cost_table.COLUMNS, 2.0))
    plan = project("demo")

    def make(dirty=False, commits=(COMMIT,)):
        for run, commit in zip((RUN, OTHER), commits, strict=False):
            scored(plan, run, fid={"values": [3.0, 3.2]}, **{"is": {"values": [7.0, 7.1], "split_std": [0.1, 0.1]}})
            machine = {"cpu": "a processor", "cores": 2, "memory_gib": 8.0, "gpus": []}
            known = {"commit": commit, "dirty": dirty, "hardware": machine, "mlflow_run_id": "m" * 32}
            times = {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T01:00:00+00:00"}
            speed = {"training": {"training_seconds": 3600.0, "images_per_second": 100.0}}
            files.write_json(plan.paths.run(run) / "provenance.json", {**known, **times, **speed})
            files.write_json(plan.paths.run(run) / "run.json", {"fingerprint": plan.fingerprint("train", run)})
        page.make(plan)
        return plan, (plan.paths.results / "report.html").read_text()

    return make


def test_every_link_of_the_page_leads_somewhere_and_nothing_is_fetched(reported):
    _, html = reported()
    found = Page(html)
    assert len(set(found.ids)) == len(found.ids)
    inner = {link[1:] for link in found.links if link.startswith("#")}
    assert inner <= set(found.ids)
    assert any(link.startswith("trace-unconditional-") for link in inner)
    assert all(source.startswith("data:") for source in found.sources)
    assert {link for link in found.links if link.startswith("http")} == {"https://arxiv.org/abs/2102.07074"}
    assert not re.search(r"@import|url\(|<link[^>]+stylesheet", html)


def test_each_table_is_a_page_of_its_own_whose_cells_link_to_their_origin(reported):
    plan, _ = reported()
    written = {path.stem for path in (plan.paths.results / "report").glob("*.html")}
    assert written == set(plan.params.tables)
    html = (plan.paths.results / "report" / "unconditional.html").read_text()
    found = Page(html)
    inner = [link[1:] for link in found.links if link.startswith("#")]
    assert inner
    assert set(inner) <= set(found.ids)
    assert not [link for link in found.links if link.startswith("http")]
    assert COMMIT[:10] in html


def test_the_page_lists_runs_with_their_status(reported):
    _, html = reported()
    lines = {
        line.split("</td>")[0].removeprefix("<tr><td>"): line
        for line in html.splitlines()
        if line.startswith("<tr><td>transgan-")
    }
    assert "<td>scored</td>" in lines[RUN]
    assert "3,600 s" in lines[RUN]
    assert "<td>not run</td>" in lines["transgan-celeba128"]
    assert "<td>transgan-cifar10</td><td>cifar10 (digits)</td>" in html
    assert re.search(r"Of \d+ runs, \d+ not run, 1 scored, \d+ not run at demo", html)
    assert "Not comparable with the paper" in html


def test_each_table_counts_its_measured_cells(reported):
    _, html = reported()
    tallies = [line for line in html.splitlines() if line.startswith('<p class="tally">')]
    first = tallies[0]
    assert "2 of 23 cells are measured; not run: wgan-gp-cifar10 (" in first
    assert re.search(r"transgan-celeba128 \([\d.]+ EFLOP\)", first)
    assert not any("every number is quoted" in line for line in tallies)


def test_provenance_maps_each_cell_to_its_run(reported):
    plan, _ = reported()
    held = json.loads((plan.paths.results / "provenance.json").read_text())
    assert held["commits"] == [COMMIT]
    wanted = ("unconditional", "TransGAN", "cifar10", "fid")
    cell = next(
        cell for cell in held["cells"] if (cell["table"], cell["row"], cell["dataset"], cell["metric"]) == wanted
    )
    (run,) = cell["runs"]
    assert (run["run"], run["commit"], run["mlflow_run_id"]) == (RUN, COMMIT, "m" * 32)
    assert run["score_fingerprint"] == plan.fingerprint("score", RUN)
    assert (cell["protocol"], cell["ours"], cell["doubts"]) == ("fid50k-train", pytest.approx(3.1), [])
    missing = next(cell for cell in held["cells"] if cell["dataset"] == "celeba128")
    assert missing["runs"] == []
    assert missing["missing"]


def test_a_dirty_tree_and_several_commits_are_reported(reported):
    _, html = reported(dirty=True, commits=(COMMIT, "d" * 40))
    assert "from a dirty tree" in html
    assert "The cells come from 2 commits" in html


def test_scores_without_provenance_are_doubted(reported):
    plan, _ = reported()
    (plan.paths.run(RUN) / "provenance.json").unlink()
    each = next(
        each
        for each in trace.traced(plan, "unconditional")
        if (each.cell.row, each.cell.dataset) == ("TransGAN", "cifar10")
    )
    assert each.doubts == ["without provenance: the run's provenance.json is not here"]


def test_trace_prints_runs_and_quotes(reported, capsys):
    plan, _ = reported()
    trace.trace(plan, "unconditional", "TransGAN")
    printed = capsys.readouterr().out
    for part in (RUN, COMMIT, "a processor, 2 cores", "m" * 32, plan.fingerprint("train", RUN), "FID-digits"):
        assert part in printed
    assert "the paper's" not in printed  # a demo's number stands beside none of the paper
    assert printed.count(plan.fingerprint("train", RUN)) == 1  # the run of two metrics is described once
    assert f"run {RUN}: as above" in printed
    trace.trace(plan, "unconditional", "COCO-GAN")
    assert "5.74, quoted from" in capsys.readouterr().out
    with pytest.raises(UserError, match="COCO-GAN"):
        trace.trace(plan, "unconditional", "COCO")


def test_trace_says_how_a_run_that_was_not_logged_while_it_trained_gets_into_mlflow(reported, capsys):
    plan, _ = reported()
    path = plan.paths.run(RUN) / "provenance.json"
    files.write_json(path, {**json.loads(path.read_text()), "mlflow_run_id": None})
    trace.trace(plan, "unconditional", "TransGAN")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "mlflow run:" in line]
    assert "`transgan sync`" in line
    assert line.endswith(f"fingerprint = {plan.fingerprint('train', RUN)}")


def test_the_choice_between_both_numbers_is_where_both_are(reported, project):
    _, html = reported()
    assert 'class="views"' not in html
    assert 'class="paper"' not in html
    plan = project("paper")
    html = page.render(plan, trace.everything(plan))
    assert html.count('class="views"') == 1
    assert 'class="paper"' in html


def test_cost_is_measured_where_trained_and_estimated_elsewhere(reported):
    plan, _ = reported()
    lines = [line.split(",") for line in (plan.paths.results / "cost_measured.csv").read_text().splitlines()]
    rows = {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}
    assert (rows[RUN]["how"], rows[RUN]["hours"], rows[RUN]["images_per_second"]) == ("measured", "1.0", "100.0")
    other = rows["transgan-celeba128"]
    assert other["how"] == "estimated"
    assert float(other["hours"]) == pytest.approx(plan.run("transgan-celeba128").recipe.images / 100 / 3600, rel=0.01)


def test_hours_of_another_configuration_are_not_those_of_this_one(reported):
    plan, _ = reported()
    files.write_json(plan.paths.run(RUN) / "run.json", {"fingerprint": "0123456789abcdef"})
    lines = cost_table.write_measured(plan).read_text().splitlines()
    assert not any("measured" in line for line in lines)


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_shows_the_page_at_desk_and_phone_width(reported, tmp_path, width):
    plan, html = reported()
    tables.make(plan, "unconditional")
    probe = """
      const broken = [...document.images].filter(i => i.getAttribute("src") && !i.naturalWidth).length;
      document.querySelector('thead button').click();
      const firsts = [...document.querySelector('tbody').rows].map(r => r.cells[0].textContent);
      const aligned = [...document.querySelectorAll('.traced, .runs')].every(table =>
        [...table.tHead.rows[0].cells].every((head, i) => [...table.tBodies[0].rows].every(row =>
          getComputedStyle(row.cells[i]).textAlign === getComputedStyle(head).textAlign)));
      return {broken, firsts, aligned, wider: document.documentElement.scrollWidth - innerWidth};"""
    seen, errors = probed(html, probe, tmp_path, width)
    assert errors == []
    assert seen["broken"] == 0
    assert seen["firsts"] == sorted(seen["firsts"])
    assert seen["aligned"]
    assert seen["wider"] <= 0
