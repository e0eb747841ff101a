"""Extractor weights: found, checked before anything reads them, never unpickled blindly."""

import hashlib
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.data.http_server import serving
from tests.scoring.conftest import write_params
from transgan.config import plan
from transgan.data.sources import download
from transgan.errors import UserError
from transgan.metrics import weights
from transgan.metrics.weights import ARCHIVES, INCEPTION_NAME, INCOMING

GENUINE = b"stands in for the genuine file"


@pytest.fixture
def inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> plan.Plan:
    """A project whose protocol wants Inception; the digest that counts as right is GENUINE's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "INCEPTION_DIGEST", hashlib.sha256(GENUINE).hexdigest()[:8])
    write_params(tmp_path, extractor="inception-v3-compat", feature_layer="2048")
    return plan.load()


def place(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INCEPTION_NAME).write_bytes(content)
    return folder / INCEPTION_NAME


@pytest.mark.parametrize("folder", [INCOMING, ARCHIVES])
def test_a_file_that_is_there_is_used_without_network(inception: plan.Plan, folder: Path) -> None:
    path = place(folder, GENUINE)
    assert weights.locate(inception, inception.protocol("few")) == (path, hashlib.sha256(GENUINE).hexdigest())


def test_a_wrong_file_that_a_person_placed_is_refused_and_kept(inception: plan.Plan) -> None:
    path = place(INCOMING, GENUINE[:-1])
    with pytest.raises(UserError, match=r"data/incoming/.*SHA-256 begins with .* partial or another file; replace it"):
        weights.locate(inception, inception.protocol("few"))
    assert path.exists()


def test_a_damaged_download_is_fetched_again_from_the_mirror(
    inception: plan.Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place(ARCHIVES, GENUINE[:-1])
    place(Path("mirror"), GENUINE)
    inception = plan.Plan(
        inception.params.model_copy(update={"data": inception.params.data.model_copy(update={"mirror": "mirror"})}),
        "tiny",
        Path("p"),
    )
    assert weights.locate(inception, inception.protocol("few"))[0] == path
    assert path.read_bytes() == GENUINE
    assert "damaged" in capsys.readouterr().err


def test_offline_one_line_names_the_file_and_the_place(inception: plan.Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "INCEPTION_URL", "http://no-such-host.invalid/weights.pth")
    with pytest.raises(UserError) as caught:
        weights.locate(inception, inception.protocol("few"))
    message = str(caught.value)
    assert "\n" not in message
    assert INCEPTION_NAME in message
    assert "put it into data/incoming/" in message


def test_a_mirror_with_another_file_is_passed_over(
    inception: plan.Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place(Path("mirror"), b"something else")
    with serving({INCEPTION_NAME: GENUINE}) as server:
        monkeypatch.setattr(weights, "INCEPTION_URL", f"{server.url}/{INCEPTION_NAME}")
        path, _ = weights._fetched("mirror")
    assert path.read_bytes() == GENUINE
    assert "passed over" in capsys.readouterr().err


def test_another_file_from_every_address_is_refused_and_not_kept(
    inception: plan.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.0)
    with serving({INCEPTION_NAME: b"something else"}) as server:
        monkeypatch.setattr(weights, "INCEPTION_URL", f"{server.url}/{INCEPTION_NAME}")
        with pytest.raises(UserError, match="not the published content"):
            weights._fetched(server.url)
    assert not (ARCHIVES / INCEPTION_NAME).exists()


def test_processes_that_want_it_at_once_fetch_it_once(inception: plan.Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({INCEPTION_NAME: GENUINE}) as server:
        monkeypatch.setattr(weights, "INCEPTION_URL", f"{server.url}/{INCEPTION_NAME}")
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: weights.locate(inception, inception.protocol("few")), range(4)))
        assert len(server.requests) == 1
    assert {path.read_bytes() for path, _ in found} == {GENUINE}


def test_weights_that_the_protocol_names_must_be_there(inception: plan.Plan, tmp_path: Path) -> None:
    protocol = inception.protocol("few").model_copy(update={"weights": "mine.pth"})
    with pytest.raises(UserError, match=r"mine.pth: not there; name a file of weights of inception-v3-compat"):
        weights.locate(inception, protocol)
    (tmp_path / "mine.pth").write_bytes(b"mine")
    assert weights.locate(inception, protocol)[1] == hashlib.sha256(b"mine").hexdigest()


def test_a_missing_classifier_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    current = plan.load()
    with pytest.raises(UserError, match="make it with `transgan classifier digits`"):
        weights.locate(current, current.protocol("few"))


class Hostile:
    """Pickled, it would run a command when loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch hacked",)


def test_code_in_a_weights_file_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Hostile()}, "weights.pth")
    Path("old.pth").write_bytes(pickle.dumps({"a": Hostile()}))
    for name in ("weights.pth", "old.pth"):
        with pytest.raises(UserError, match="truncated or no weights file"):
            weights.inception_bytes(Path(name))
    assert not Path("hacked").exists()


def test_truncated_weights_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match="truncated or no weights file"):
        weights.inception_bytes(path)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": 1}, path)
    with pytest.raises(UserError, match="no state dict of tensors"):
        weights.inception_bytes(path)
    assert torch.load(weights.inception_bytes(_saved(tmp_path)), weights_only=True)["a"].tolist() == [1.0]


def _saved(folder: Path) -> Path:
    torch.save({"a": torch.ones(1)}, folder / "right.pth")
    return folder / "right.pth"
