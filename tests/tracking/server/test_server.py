"""A server on PostgreSQL, with artifacts by proxy and passwords, as docs/mlflow-server.md sets it up."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import transgan
from tests.tracking.runs import PARAMS, RUN, finished_run, history, opened, rows, trained_generator
from tests.tracking.server.conftest import MEASURED
from tests.tracking.server.loading import load
from tests.tracking.server.servers import ADMIN, ADMIN_PASSWORD, DATABASE_PASSWORD, PASSWORD, SECRET_KEY, USER, Servers
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.config.run_changes import with_changed_run
from transgan.data import fetch as fetching
from transgan.data import prepare as preparing
from transgan.pipeline.provenance import source
from transgan.tracking import sync
from transgan.tracking import tracker as tracker_module
from transgan.tracking.connection import connect
from transgan.tracking.tracker import Tracker
from transgan.training import loop
from transgan.training import train as training

pytestmark = pytest.mark.slow

# `make test-servers` sets the full size: 16 writers, 100,000 points. A row has 8 points.
WRITERS, ROWS = (int(os.environ.get(f"SERVER_{name}", default)) for name, default in (("WRITERS", 8), ("ROWS", 64)))
PACE = 0.2  # seconds from row to row; training takes longer
IMAGES = 64_000 if "SERVER_ROWS" in os.environ else 1_600  # of a real training, with the demo's networks
FLUSH = tracker_module.FLUSH_SECONDS if "SERVER_ROWS" in os.environ else 2.0  # from batch to batch
STAGES = "fetch cifar10, prepare cifar10, train one-cifar10, sync, report"


@pytest.fixture
def server_demo(servers: Servers, demo: Plan, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The demo's plan in an empty project, logged to the server."""
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    return demo


def test_points_and_images_of_a_run_reach_database_and_artifacts(
    servers: Servers, server_demo: Plan, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "grid.png")
    with opened(server_demo) as tracker:
        tracker.log_history(rows(1600, 3200))
        tracker.log_image(tmp_path / "grid.png", "samples.png")
        tracker.log_image(tmp_path / "grid.png", "samples", images=1600)
    points = servers.query(f"select key, step, value from metrics where run_uuid = '{tracker.run_id}'")
    assert {point for point in points if not point[0].startswith("system/")} == {
        ("d_loss", 1600, -1600.0),
        ("d_loss", 3200, -3200.0),
        ("gap", 1600, 800.0),
        ("gap", 3200, 1600.0),
    }
    (run,) = servers.query(f"select status, artifact_uri from runs where run_uuid = '{tracker.run_id}'")
    assert run[0] == "FINISHED"
    assert run[1].startswith("mlflow-artifacts:/")
    (stored,) = servers.artifacts.rglob(f"{tracker.run_id}/artifacts/samples.png")
    assert stored.read_bytes() == (tmp_path / "grid.png").read_bytes()
    downloaded = connect("demo").client.download_artifacts(str(tracker.run_id), "samples.png", str(tmp_path / "new"))
    assert Path(downloaded).read_bytes() == stored.read_bytes()
    assert len(list(stored.parent.glob("images/samples*.png"))) == 1


def test_a_wrong_password_gives_one_line_with_what_to_export(
    server_demo: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wr0ng-Bb.31")
    with opened(server_demo) as tracker:
        assert tracker.run_id is None
        tracker.log_history(rows(32))
    (line,) = capsys.readouterr().err.splitlines()
    assert "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in line
    assert "training continues" in line


def test_a_server_that_falls_silent_delays_training_twice_by_its_limit(
    servers: Servers, server_demo: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once when a row is sent, and once at the end; not with each row. `transgan sync` then logs what is missing."""
    limit, tries = 3.0, 2
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(int(limit)))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(tries - 1))
    monkeypatch.setattr(tracker_module, "FLUSH_SECONDS", 0.0)
    tracker = opened(server_demo)
    servers.pause_mlflow()
    try:
        begun = time.monotonic()
        tracker.log_history(rows(32))
        sent = time.monotonic() - begun
        for images in range(64, 6464, 64):
            tracker.log_history(rows(images))
        rest = time.monotonic() - begun - sent
        tracker.finish()
        delay = time.monotonic() - begun
    finally:
        servers.resume_mlflow()
    assert tries * limit <= sent < 4 * tries * limit  # the limits, a pause between them, and a busy machine
    assert rest < limit
    assert delay < 8 * tries * limit
    finished_run(server_demo, tracker.run_id, images=(32, *range(64, 6464, 64)))
    sync(server_demo)
    steps = [step for step, _ in history(tracker.run_id, "gap")]
    assert sorted(steps) == [32, *range(64, 6464, 64)]


def test_sync_rebuilds_on_a_server_what_a_file_had(
    servers: Servers, demo: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(demo) as tracker:
        tracker.log_history(rows(1600))
    finished_run(demo, tracker.run_id)
    path = demo.paths.run(RUN) / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **source()}))
    demo.paths.table("t").parent.mkdir(parents=True)
    demo.paths.table("t").with_suffix(".csv").write_text("a\n1\n")
    sync(demo)
    before = contents(demo, str(tracker.run_id))
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    store = connect("demo")
    for run in store.client.search_runs(
        [store.experiment]
    ):  # of other tests; a result that is there is not logged again
        store.client.delete_run(run.info.run_id)
    sync(demo)
    assert not store.has(tracker.run_id)  # a run of its own, with the same content
    found = store.find({"stage": "train", "fingerprint": demo.fingerprint("train", RUN)})
    assert contents(demo, str(found)) == before
    assert store.other("transgan-demo-tables").find({"stage": "tables"})


def contents(plan: Plan, run_id: str) -> dict[str, object]:
    """What a run has in the database that the environment names."""
    store = connect(plan.scale_name)
    run = store.client.get_run(run_id)
    curves = {key: sorted(history(run_id, key)) for key in run.data.metrics if not key.startswith("system/")}
    # Without the source: a server stores a dataset once, with the path of the run that logged it first.
    data = [(item.dataset.name, item.dataset.digest) for item in run.inputs.dataset_inputs]
    return {
        "parameters": run.data.params,
        "tags": run.data.tags,
        "curves": curves,
        "data": data,
        "status": run.info.status,
        "artifacts": store.artifacts(run_id),
    }


def test_a_copied_generator_is_registered_on_a_server_and_read_back(server_demo: Plan, tmp_path: Path) -> None:
    finished_run(server_demo)
    trained_generator(server_demo)
    text = PARAMS.read_text().replace("  log_model: link", "  log_model: copy")
    (tmp_path / "params.yaml").write_text(text)
    for _ in range(2):
        sync(plans.load(scale="demo"))
    client = connect("demo").client
    assert len(client.search_model_versions(f"name = '{RUN}'")) == 1
    expected = transgan.load_generator(server_demo.paths.run(RUN) / "generator.safetensors").sample(2)
    assert np.array_equal(transgan.load_generator(f"models:/{RUN}@demo").sample(2), expected)


def test_gc_removes_a_deleted_run_and_its_artifacts_and_no_other(
    servers: Servers, server_demo: Plan, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "grid.png")
    ids = []
    for _ in range(2):
        with opened(server_demo) as tracker:
            tracker.log_history(rows(1600))
            tracker.log_image(tmp_path / "grid.png", "samples.png")
        ids.append(str(tracker.run_id))
    connect("demo").client.delete_run(ids[0])
    administrator = {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": ADMIN_PASSWORD}
    command = ("mlflow", "gc", "--backend-store-uri", servers.database("mlflow"))
    done = servers.run(tmp_path, *command, PGPASSWORD=DATABASE_PASSWORD, **administrator)
    assert done.returncode == 0, done.stderr
    left = {run_id for (run_id,) in servers.query("select run_uuid from runs")}
    assert ids[0] not in left
    assert ids[1] in left
    assert len(history(ids[1], "gap")) == 1
    assert not list(servers.artifacts.rglob(f"{ids[0]}/artifacts/samples.png"))
    assert list(servers.artifacts.rglob(f"{ids[1]}/artifacts/samples.png"))


def test_pgloader_moves_a_file_with_all_its_runs(servers: Servers, demo: Plan, tmp_path: Path) -> None:
    if shutil.which("pgloader") is None:
        pytest.skip("no pgloader: apt-get install --no-install-recommends pgloader")
    with opened(demo) as tracker:
        tracker.log_history(rows(1600))
    finished_run(demo, tracker.run_id)
    sync(demo)
    before = contents(demo, str(tracker.run_id))
    name = "moved"
    servers.create_database(name)
    password = {"PGPASSWORD": DATABASE_PASSWORD}
    done = servers.run(tmp_path, "mlflow", "db", "upgrade", servers.database(name), **password)
    assert done.returncode == 0, done.stderr
    file = servers.documented("-- move.load").replace("/home/ana/project", str(tmp_path))
    (tmp_path / "move.load").write_text(file.replace("/mlflow\n", f"/{name}\n"))
    moved = subprocess.run(
        ["pgloader", str(tmp_path / "move.load")],
        env=os.environ | password,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert moved.returncode == 0, moved.stdout + moved.stderr
    servers.query(f"{servers.documented('-- move.sql')} select 1", name, commit=True)
    shutil.copytree(tmp_path / "mlruns", servers.artifacts, dirs_exist_ok=True)
    (tmp_path / "mlflow.db").unlink()
    shutil.rmtree(tmp_path / "mlruns")
    with servers.serving(name), pytest.MonkeyPatch.context() as patch:
        for variable, value in servers.environment.items():
            patch.setenv(variable, value)
        assert contents(demo, str(tracker.run_id)) == before
        sync(demo)  # and new runs may follow
        assert contents(demo, str(tracker.run_id)) == before
        with opened(demo) as another:
            another.log_history(rows(1600))
        assert another.run_id


def test_passwords_are_in_nothing_that_a_run_writes_or_stores(servers: Servers, project: Path) -> None:
    plan = plans.load()
    folder = plan.paths.workspace("train", "one-cifar10", plan.fingerprint("train", "one-cifar10"))
    folder.mkdir(parents=True)
    (folder / "tracking.json").write_text("{}")  # a run that is tracked opens MLflow at once
    ended = [servers.run(project, "transgan", *stage.split()) for stage in STAGES.split(", ")]
    assert [done.returncode for done in ended] == [0] * len(ended), [done.stderr for done in ended]
    wrong = servers.run(project, "transgan", "sync", MLFLOW_TRACKING_USERNAME="another")
    assert wrong.returncode == 2
    assert servers.query("select status from runs where name = 'one-cifar10'") == [("FINISHED",)]
    texts = {f"message {number}": (done.stdout + done.stderr).encode() for number, done in enumerate([*ended, wrong])}
    texts |= {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file()}
    texts |= {str(path): path.read_bytes() for path in servers.artifacts.rglob("*") if path.is_file()}
    texts |= {f"database {name}": servers.dump(name) for name in ("mlflow", "mlflow_auth")}
    texts["the server's log"] = (servers.folder / "mlflow.log").read_bytes()
    assert b"one-cifar10" in texts["database mlflow"]
    assert USER.encode() in texts["database mlflow_auth"]
    header = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    secrets = [header, *(text.encode() for text in (PASSWORD, ADMIN_PASSWORD, DATABASE_PASSWORD, SECRET_KEY))]
    assert {where for where, content in texts.items() if any(secret in content for secret in secrets)} == set()


def test_every_point_is_stored_once_although_the_server_is_killed(servers: Servers, project: Path) -> None:
    MEASURED.append(str(load(servers, project, WRITERS, ROWS, PACE, FLUSH)))


@pytest.mark.parametrize("where", ["the server", "a file"])
def test_a_real_training_is_logged_while_it_runs(
    servers: Servers, demo: Plan, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """From its first step, as no short run is. What tracking costs is printed: it depends on the machine."""
    if where == "the server":
        for name, value in servers.environment.items():
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(loop, "LIVE_SECONDS", 0.0)
    ended: list[Tracker] = []
    finish = Tracker.finish

    def remember(tracker: Tracker, *state: Any) -> None:
        finish(tracker, *state)
        ended.append(tracker)

    monkeypatch.setattr(Tracker, "finish", remember)
    # Without FID along training, which would need a reference.
    changes = [f"recipe.images={IMAGES}", "recipe.dynamics.fid_samples=0"]
    plan, run = with_changed_run(demo, "transgan-digits", changes, None)
    fetching.fetch(plan, "digits")
    preparing.prepare(plan, "digits")
    begun = time.monotonic()
    training.train(plan, run)
    seconds = time.monotonic() - begun
    tracker = ended[-1]
    curve = history(tracker.run_id, "d_loss")
    assert curve[-1][0] == IMAGES
    assert len(curve) == len({step for step, _ in curve})
    MEASURED.append(
        f"a training of {IMAGES:,} images with {where}: {tracker.seconds:.1f} of {seconds:.0f} s "
        f"spent on tracking, {tracker.seconds / seconds:.1%}"
    )
