"""The command that writes the generated part of dvc.yaml, as a user types it in a project."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from dvc_render.vega import VegaRenderer

from tests.conftest import ROOT
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.pipeline import dvc_yaml


def test_it_writes_the_stages_of_the_params_file_that_is_there(project: Path) -> None:
    (project / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    dvc_yaml.main()
    written = (project / "dvc.yaml").read_text()
    assert "table-small:" in written
    assert "table-unconditional:" not in written


def test_without_a_project_it_says_so_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"dvc\.yaml: not there"):
        dvc_yaml.main()
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    with pytest.raises(UserError, match=r"params\.yaml: not there"):
        dvc_yaml.main()
    assert (tmp_path / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def test_git_has_the_metrics_that_dvc_lock_records() -> None:
    """A clone shows the scores of the demo that dvc.lock is of. Whoever renews one commits the other."""
    pattern = r"^ *- path: (results/demo/metrics/\S+)\n +hash: md5\n +md5: (\w{32})$"
    recorded = dict(re.findall(pattern, (ROOT / "dvc.lock").read_text(), re.MULTILINE))
    plan = plans.load(ROOT / "params.yaml", "demo")
    committed = {str(plan.paths.metrics(run)) for run in plan.scheduled_runs}
    assert committed == {str(path.relative_to(ROOT)) for path in (ROOT / "results/demo/metrics").iterdir()}
    for path in committed:
        assert hashlib.md5((ROOT / path).read_bytes()).hexdigest() == recorded[path], path


def test_the_chart_of_all_runs_tells_them_apart_by_color() -> None:
    """DVC's own templates draw the runs in one color, with seven patterns of dashes."""
    sources = [{"filename": f"{run}/history.csv", "field": "gap"} for run in ("one", "two")]
    points = [{**source, "rev": "workspace", "images": "8", "gap": "0.5"} for source in sources]
    chart = VegaRenderer(
        points,
        "critic-gap",
        template="runs",
        template_dir=str(ROOT / ".dvc" / "plots"),
        x="images",
        y="gap",
        title="Critic gap",
        anchors_y_definitions=sources,
    ).get_filled_template()
    assert "DVC_METRIC" not in json.dumps(chart)
    assert chart["title"]["text"] == "Critic gap"
    assert [point["filename"] for point in chart["data"]["values"]] == ["one/history.csv", "two/history.csv"]
    assert chart["encoding"]["color"]["field"] == chart["transform"][0]["as"] == "run"
    assert (chart["encoding"]["x"]["field"], chart["encoding"]["y"]["field"]) == ("images", "gap")
