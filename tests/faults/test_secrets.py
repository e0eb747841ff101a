"""Passwords and tokens in addresses and in the environment: nothing that a run prints or writes contains one."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.data.http_server import serving
from tests.faults import counts
from tests.faults.conftest import Transgan, environment
from transgan.config import plan as plans

PASSWORD, TOKEN = "hunter2-Zq/9", "tok-31415926-sig"
QUOTED = "hunter2-Zq%2F9"
SECRETS = [text.encode() for text in (PASSWORD, QUOTED, TOKEN)]
ENVIRONMENT = {
    "MLFLOW_TRACKING_URI": f"http://user:{QUOTED}@127.0.0.1:9/?token={TOKEN}",
    "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    "MLFLOW_TRACKING_TOKEN": TOKEN,
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "HTTPS_PROXY": f"http://user:{QUOTED}@127.0.0.1:9",
}


def with_mirror(project: Path, mirror: str) -> None:
    """Set data.mirror, and a dataset that must be downloaded."""
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["data"]["mirror"] = mirror
    content["datasets"]["remote"] = {
        "source": "stl10",
        "resolution": 16,
        "splits": [{"name": "unlabeled", "count": 8}],
        "train_splits": ["unlabeled"],
    }
    content["scales"]["tiny"]["datasets"]["remote"] = {}
    (project / "params.yaml").write_text(yaml.safe_dump(content))


searched: Counter[bool] = Counter()  # messages and files with a secret and without


@pytest.fixture(autouse=True)
def count_searched(request: pytest.FixtureRequest) -> Iterator[None]:
    """Report what `assert_no_secret` has searched to `make test-faults`."""
    searched.clear()
    yield
    if searched:
        request.node.user_properties.append((counts.SECRETS, [searched[False], searched.total()]))


def assert_no_secret(project: Path, *ended: "subprocess.CompletedProcess[str]") -> None:
    """Neither output nor any file but params.yaml, the user's own, has a secret."""
    texts: dict[str, bytes] = {}
    for number, done in enumerate(ended):
        texts[f"message {number}"] = (done.stdout + done.stderr).encode()
    for path in project.rglob("*"):
        if path.is_file() and path != project / "params.yaml":
            texts[str(path)] = path.read_bytes()
    found = {where for where, content in texts.items() if any(secret in content for secret in SECRETS)}
    searched.update(where in found for where in texts)
    assert not found, [texts[where] for where in found if where.startswith("message")]


def test_doctor_and_sync_name_the_server_without_its_password(project: Path, transgan: Transgan) -> None:
    doctor, sync = transgan("doctor", **ENVIRONMENT), transgan("sync", **ENVIRONMENT)
    assert "mlflow    http://***@127.0.0.1:9/" in doctor.stdout, doctor.stdout + doctor.stderr
    assert sync.returncode == 2
    assert "***@127.0.0.1:9" in sync.stderr
    assert "start the server of" in sync.stderr
    assert_no_secret(project, doctor, sync)


def test_json_is_the_same_whatever_a_password_is(project: Path, transgan: Transgan) -> None:
    """A password may equal a key, a number or a part of one; in a text it is hidden."""
    whole = json.loads(transgan("plan", "--json").stdout)
    number = next(str(value) for value in whole["runs"][0].values() if isinstance(value, float) and len(str(value)) > 4)
    passwords = {"MLFLOW_TRACKING_PASSWORD": "total", "MLFLOW_TRACKING_TOKEN": number, "HF_TOKEN": "seconds on one"}
    hiding = transgan("plan", "--json", **passwords)
    assert hiding.returncode == 0, hiding.stderr
    assert json.loads(hiding.stdout) == {**whole, "description": "*** core, for tests"}
    assert isinstance(json.loads(transgan("data", "--json", **passwords).stdout)["datasets"], list)


@pytest.mark.slow
def test_training_and_its_scores_write_no_password(project: Path, transgan: Transgan) -> None:
    ended = [transgan(*stage, **ENVIRONMENT) for stage in (("fetch", "cifar10"), ("prepare", "cifar10"))]
    plan = plans.load()
    folder = plan.paths.workspace("train", "one-cifar10", plan.fingerprint("train", "one-cifar10"))
    folder.mkdir(parents=True)
    (folder / "tracking.json").write_text("[]")  # a run that is tracked opens MLflow at once
    ended.append(transgan("train", "one-cifar10", **ENVIRONMENT))
    assert [done.returncode for done in ended] == [0, 0, 0], ended[-1].stderr
    assert "damaged; training continues with a new entry" in ended[-1].stderr
    assert "MLflow: opening the database failed" in ended[-1].stderr
    assert_no_secret(project, *ended)


@pytest.mark.slow
@pytest.mark.parametrize("mirror", ["http://user:{password}@{host}", "http://{host}?X-Amz-Signature={token}"])
def test_a_mirror_with_credentials_is_used_and_not_named(project: Path, transgan: Transgan, mirror: str) -> None:
    with serving({}) as server:
        host = server.url.removeprefix("http://")
        with_mirror(project, mirror.format(password=QUOTED, token=TOKEN, host=host))
        fetch = transgan("fetch", "remote", **{**ENVIRONMENT, "HTTP_PROXY": "", "no_proxy": "127.0.0.1"})
    assert fetch.returncode == 2, fetch.stderr
    assert f"{host}: HTTP 404" in fetch.stderr
    assert_no_secret(project, fetch)


def test_a_mirror_that_is_no_address_is_named_without_its_password(project: Path, transgan: Transgan) -> None:
    with_mirror(project, f"http://user:{PASSWORD}@[host/x")
    assert_no_secret(project, transgan("plan"))
    snakemake = [sys.executable, "-m", "snakemake", "-s", str(Path(__file__).parents[2] / "workflow" / "Snakefile")]
    done = subprocess.run(
        [*snakemake, "--cores", "1", "-n"], cwd=project, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert_no_secret(project, done)


def test_the_traceback_of_a_bug_and_what_libraries_print_have_no_password(project: Path) -> None:
    code = (
        "import logging, os, sys, warnings\nimport transgan.cli as cli\n"
        "def bug():\n"
        "    address = os.environ['MLFLOW_TRACKING_URI']\n"
        "    logging.getLogger('urllib3').warning('connection to %s broken', address)\n"
        "    warnings.warn(address)\n"
        "    print(address)\n"
        "    raise RuntimeError(f'cannot reach {address}') from OSError(os.environ['MLFLOW_TRACKING_TOKEN'])\n"
        "cli.main = bug\nfrom transgan.__main__ import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=environment(ENVIRONMENT),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("127.0.0.1:9") == 3
    assert "RuntimeError" in done.stderr
    assert_no_secret(project, done)
