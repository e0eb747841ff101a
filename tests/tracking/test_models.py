"""Generators in MLflow: what `transgan sync` logs, read back by MLflow and by this package."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import LoggedModel

import transgan
from tests.tracking.runs import PARAMS, RUN, finished_run, trained_generator
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.tracking import models, sync
from transgan.tracking.connection import connect
from transgan.tracking.generator_flavor import GeneratorModel
from transgan.tracking.store import Store


@pytest.fixture
def trained(demo: Plan) -> Plan:
    """The demo with a finished, scored run that has its generator."""
    finished_run(demo)
    trained_generator(demo)
    return demo


def choosing(how: str, folder: Path) -> Plan:
    """The demo's plan with another `execution.log_model`."""
    text = PARAMS.read_text()
    assert "  log_model: link" in text
    (folder / "params.yaml").write_text(text.replace("  log_model: link", f"  log_model: {how}"))
    return plans.load(scale="demo")


def logged(store: Store) -> list[LoggedModel]:
    return list(store.client.search_logged_models([store.experiment]))


def weights(store: Store) -> Path:
    (model,) = logged(store)
    return Path(model.artifact_location.removeprefix("file://")) / "data" / "generator" / "model.safetensors"


def test_a_generator_is_logged_and_registered_once_and_its_images_are_those_of_scoring(
    trained: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(trained)
    sync(trained)
    store = connect("demo")
    (model,) = logged(store)
    (version,) = store.client.search_model_versions(f"name = '{RUN}'")
    assert (version.version, version.source, version.tags["scale"]) == (1, f"models:/{model.model_id}", "demo")
    assert store.client.get_model_version_by_alias(RUN, "demo").version == 1
    assert {metric.key: metric.value for metric in model.metrics}["score/fid.cifar10.fid50k-train"] == 4.0
    generator = trained.paths.run(RUN) / "generator.safetensors"
    assert weights(store).samefile(generator)  # takes no space
    assert "MLFLOW_TRACKING_URI" not in os.environ

    expected = transgan.load_generator(generator)
    from_mlflow = transgan.load_generator(f"models:/{RUN}@demo")
    assert np.array_equal(from_mlflow.sample(3), expected.sample(3))
    with pytest.raises(transgan.UserError, match="no-such-run"):
        transgan.load_generator("models:/no-such-run/1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    images = mlflow.pyfunc.load_model(f"models:/{RUN}/1").predict(pd.DataFrame({"n": [2, 1], "seed": [0, 7]}))
    assert np.array_equal(images, np.concatenate([expected.sample(2), expected.sample(1, seed=7)]))
    info = mlflow.models.get_model_info(f"models:/{RUN}/1")
    assert [column.name for column in info.signature.inputs] == ["n", "seed"]
    assert info.signature.outputs.inputs[0].shape == (-1, expected.resolution, expected.resolution, 3)


def test_a_model_that_a_process_left_unfinished_is_replaced(trained: Plan) -> None:
    sync(choosing("none", Path.cwd()))
    store = connect("demo")
    assert logged(store) == []
    run_id = store.find({"stage": "train"})
    left = store.client.create_logged_model(store.experiment, RUN, run_id)
    sync(trained)
    (model,) = logged(store)
    assert model.model_id != left.model_id
    assert weights(store).exists()


def test_a_copy_is_a_file_of_its_own(trained: Plan, tmp_path: Path) -> None:
    sync(choosing("copy", tmp_path))
    generator = trained.paths.run(RUN) / "generator.safetensors"
    copied = weights(connect("demo"))
    assert not copied.samefile(generator)
    assert copied.read_bytes() == generator.read_bytes()


def test_a_link_is_not_sent_to_a_server(trained: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_local_folder", lambda location: None)
    sync(trained)
    store = connect("demo")
    assert logged(store) == []
    assert store.client.search_registered_models() == []


def test_a_scale_whose_name_mlflow_reserves_has_another_alias() -> None:
    assert [models.alias(scale) for scale in ("paper", "latest", "v2")] == ["paper", "scale-latest", "scale-v2"]


def test_a_missing_seed_is_0_and_n_is_at_least_1() -> None:
    network = transgan.build("one-cifar10", None, params=PARAMS.parent / "tests/workflow/params.yaml").generator.eval()
    model = GeneratorModel(network)
    expected = transgan.TrainedGenerator(network).sample(2)
    rows: list[dict[str, Any]] = [{"n": [2]}, {"n": [2], "seed": [None]}, {"n": [2], "seed": [float("nan")]}]
    for row in rows:
        assert np.array_equal(model.predict(pd.DataFrame(row)), expected)
    with pytest.raises(ValueError, match="at least 1"):
        model.predict(pd.DataFrame({"n": [0]}))


REQUEST = json.dumps({"dataframe_split": {"columns": ["n", "seed"], "data": [[2, 1]]}})


@pytest.mark.slow
def test_mlflow_models_predict_returns_images(trained: Plan, tmp_path: Path) -> None:
    sync(trained)
    request = tmp_path / "request.json"
    request.write_text(REQUEST)
    out = tmp_path / "images.json"
    environment = commands_environment(tmp_path)
    command = [sys.executable, "-m", "mlflow", "models", "predict", "-m", f"models:/{RUN}@demo", "-i", str(request)]
    subprocess.run(
        [*command, "-o", str(out), "--env-manager", "local"], env=environment, check=True, capture_output=True
    )
    images = np.asarray(json.loads(out.read_text())["predictions"])
    generator = transgan.load_generator(trained.paths.run(RUN) / "generator.safetensors")
    assert np.array_equal(images, generator.sample(2, seed=1))


@pytest.mark.slow
def test_mlflow_models_serve_answers_with_images(trained: Plan, tmp_path: Path) -> None:
    sync(trained)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{RUN}@demo", "--port", str(port)]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--env-manager", "local"],
            env=commands_environment(tmp_path),
            stdout=log,
            stderr=log,
            start_new_session=True,  # it starts a server below a shell
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server)
            header = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", REQUEST.encode(), header)
            with urllib.request.urlopen(request, timeout=300) as answer:
                images = np.asarray(json.load(answer)["predictions"])
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
    generator = transgan.load_generator(trained.paths.run(RUN) / "generator.safetensors")
    assert np.array_equal(images, generator.sample(2, seed=1))


def commands_environment(folder: Path) -> dict[str, str]:
    uri = f"sqlite:///{folder}/mlflow.db"
    return {**os.environ, "PYTHONPATH": str(PARAMS.parent), "MLFLOW_TRACKING_URI": uri}


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 600
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < deadline
            time.sleep(0.5)
