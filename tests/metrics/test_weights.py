"""Extractor weights: located, verified before anything reads them, and unpickled safely."""

import dataclasses
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
from transgan.data.sources.catalog import ARCHIVES, INCOMING
from transgan.errors import UserError
from transgan.metrics import weights
from transgan.metrics.extractors import safe_bytes
from transgan.schema import ProtocolConfig

PUBLISHED = b"stands in for the published file"
INCEPTION = "inception-v3-compat"
INCEPTION_NAME = weights.PUBLISHED[INCEPTION].name


def publish(monkeypatch: pytest.MonkeyPatch, **changes: str) -> weights.Published:
    """Change what is known of Inception's file, and return it."""
    monkeypatch.setitem(weights.PUBLISHED, INCEPTION, dataclasses.replace(weights.PUBLISHED[INCEPTION], **changes))
    return weights.PUBLISHED[INCEPTION]


@pytest.fixture
def inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> plan.Plan:
    """A project whose protocol uses Inception; the expected digest is that of PUBLISHED."""
    monkeypatch.chdir(tmp_path)
    publish(monkeypatch, sha256=hashlib.sha256(PUBLISHED).hexdigest())
    write_params(tmp_path, extractor="inception-v3-compat", feature_layer="2048")
    return plan.load()


def place(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INCEPTION_NAME).write_bytes(content)
    return folder / INCEPTION_NAME


@pytest.mark.parametrize("folder", [INCOMING, ARCHIVES])
def test_an_existing_file_is_used_without_network(inception: plan.Plan, folder: Path) -> None:
    path = place(folder, PUBLISHED)
    assert weights.locate(inception, inception.protocol("few")) == (path, hashlib.sha256(PUBLISHED).hexdigest())


def test_a_wrong_file_of_the_user_is_refused_and_not_deleted(inception: plan.Plan) -> None:
    path = place(INCOMING, PUBLISHED[:-1])
    with pytest.raises(
        UserError,
        match=r"data/incoming/.*SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}: partial or another file; replace it by",
    ):
        weights.locate(inception, inception.protocol("few"))
    assert path.exists()


def test_a_damaged_download_is_replaced_from_the_mirror(
    inception: plan.Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place(ARCHIVES, PUBLISHED[:-1])
    place(Path("mirror"), PUBLISHED)
    inception = plan.Plan(
        inception.params.model_copy(update={"data": inception.params.data.model_copy(update={"mirror": "mirror"})}),
        "tiny",
        Path("p"),
    )
    assert weights.locate(inception, inception.protocol("few"))[0] == path
    assert path.read_bytes() == PUBLISHED
    assert "damaged" in capsys.readouterr().err


def test_without_network_one_line_names_the_file_and_where_to_put_it(
    inception: plan.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, url="http://no-such-host.invalid/weights.pth")
    with pytest.raises(UserError) as caught:
        weights.locate(inception, inception.protocol("few"))
    message = str(caught.value)
    assert "\n" not in message
    assert INCEPTION_NAME in message
    assert "put it into data/incoming/" in message


def test_a_mirror_with_another_file_is_skipped(
    inception: plan.Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place(Path("mirror"), b"something else")
    with serving({INCEPTION_NAME: PUBLISHED}) as server:
        published = publish(monkeypatch, url=f"{server.url}/{INCEPTION_NAME}")
        path, _ = weights._download_published(published, "mirror")
    assert path.read_bytes() == PUBLISHED
    assert "skipped" in capsys.readouterr().err


def test_another_file_from_every_address_is_refused_and_deleted(
    inception: plan.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.0)
    with serving({INCEPTION_NAME: b"something else"}) as server:
        published = publish(monkeypatch, url=f"{server.url}/{INCEPTION_NAME}")
        with pytest.raises(UserError, match="not the published content"):
            weights._download_published(published, server.url)
    assert not (ARCHIVES / INCEPTION_NAME).exists()


def test_processes_that_need_it_at_the_same_time_download_it_once(
    inception: plan.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({INCEPTION_NAME: PUBLISHED}) as server:
        publish(monkeypatch, url=f"{server.url}/{INCEPTION_NAME}")
        with ThreadPoolExecutor(4) as pool:
            located = list(pool.map(lambda _: weights.locate(inception, inception.protocol("few")), range(4)))
        assert len(server.requests) == 1
    assert {path.read_bytes() for path, _ in located} == {PUBLISHED}


def test_vgg16_has_a_file_of_its_own_with_a_full_digest(inception: plan.Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    published = weights.PUBLISHED["vgg16"]
    assert len(published.sha256) == 64
    assert published.sha256[:8] in published.name  # the digits that torchvision publishes
    content = b"stands in for VGG-16"
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(weights.PUBLISHED, "vgg16", dataclasses.replace(published, sha256=sha256))
    place(INCOMING, PUBLISHED)
    (INCOMING / published.name).write_bytes(content)
    protocol = ProtocolConfig(metrics=("prc",), extractor="vgg16", feature_layer="fc2_relu")
    assert weights.locate(inception, protocol) == (INCOMING / published.name, sha256)
    (INCOMING / published.name).write_bytes(PUBLISHED)
    with pytest.raises(UserError, match=r"vgg16-397923af\.pth: its SHA-256 is .* replace it by https://download"):
        weights.locate(inception, protocol)


def test_weights_that_the_protocol_names_must_exist(inception: plan.Plan, tmp_path: Path) -> None:
    protocol = inception.protocol("few").model_copy(update={"weights": "mine.pth"})
    with pytest.raises(UserError, match=r"mine\.pth: no such file; name a file of weights of inception-v3-compat"):
        weights.locate(inception, protocol)
    (tmp_path / "mine.pth").write_bytes(b"mine")
    assert weights.locate(inception, protocol)[1] == hashlib.sha256(b"mine").hexdigest()


def test_a_missing_classifier_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    current = plan.load()
    with pytest.raises(UserError, match="create it with `transgan classifier digits`"):
        weights.locate(current, current.protocol("few"))


class Hostile:
    """Unpickling it runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch hacked",)


def test_code_in_a_weights_file_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Hostile()}, "weights.pth")
    Path("old.pth").write_bytes(pickle.dumps({"a": Hostile()}))
    for name in ("weights.pth", "old.pth"):
        with pytest.raises(UserError, match="truncated, or not a weights file"):
            safe_bytes(Path(name))
    assert not Path("hacked").exists()


def test_truncated_weights_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match="truncated, or not a weights file"):
        safe_bytes(path)


def test_a_file_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": 1}, path)
    with pytest.raises(UserError, match="not a state dict of tensors"):
        safe_bytes(path)
    assert torch.load(safe_bytes(_saved(tmp_path)), weights_only=True)["a"].tolist() == [1.0]


def _saved(folder: Path) -> Path:
    torch.save({"a": torch.ones(1)}, folder / "right.pth")
    return folder / "right.pth"
