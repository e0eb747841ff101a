"""The stage prepare: a pack of every dataset, the same bytes each time, shared packs, and counts."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import (
    OUTPUTS,
    MakePlan,
    fetch_and_prepare,
    folder_dataset,
    output_bytes,
    run_in_process,
)
from tests.data.http_server import serving
from tests.data.sample_archives import every_archive, pixels, small_datasets
from transgan.config.plan import Plan
from transgan.data.fetch import fetch
from transgan.data.pack import Pack
from transgan.data.prepare import prepare
from transgan.errors import UserError

DIGITS = {
    "digits": {
        "source": "digits",
        "resolution": 8,
        "splits": [{"name": "train", "count": 1437}, {"name": "test", "count": 360}],
    }
}


def test_every_dataset_from_a_server_to_a_pack(make_plan: MakePlan, tmp_path: Path) -> None:
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets(), mirror=server.url)
        packs = {dataset: fetch_and_prepare(plan, dataset) for dataset in plan.datasets}
    for dataset, pack in packs.items():
        config = plan.dataset(dataset)
        assert pack.images.dtype == np.uint8
        assert pack.images.shape == (
            sum(split.count or 0 for split in config.splits),
            config.resolution,
            config.resolution,
            3,
        )
        assert pack.images.std() > 20
        assert pack.manifest["resize"] == config.resize
        assert pack.manifest["crop"] == config.crop
        assert pack.manifest["fingerprint"] == plan.fingerprint("prepare", dataset)
        assert not (Path("data/store") / plan.fingerprint("prepare", dataset) / "scratch").exists()
        with Image.open(plan.paths.data(dataset) / "contact.png") as sheet:
            assert sheet.size[0] >= 8 * 64
    cifar, stl = packs["cifar10"], packs["stl10"]
    np.testing.assert_array_equal(cifar.read(np.array([21, 0])), np.stack([pixels(5001, 32, 32), pixels(0, 32, 32)]))
    assert cifar.labels[:5].tolist() == [0, 1, 2, 3, 1]
    half = Image.fromarray(pixels(5000, 96, 96)).resize((48, 48), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(stl.images[0], np.asarray(half))
    assert stl.labels.tolist() == [0, 1, 2, 3, 4, 5] + [-1] * 8
    assert stl.rows(["unlabeled"]).tolist() == list(range(6, 14))
    assert packs["celeba64"].labels.tolist() == [-1] * 6


def test_the_same_source_gives_the_same_bytes(make_plan: MakePlan, tmp_path: Path) -> None:
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets(), mirror=server.url)
        for dataset in plan.datasets:
            fetch_and_prepare(plan, dataset)
            first = output_bytes(plan, dataset)
            Path("data/store").rename(f"data/store-{dataset}")
            fetch_and_prepare(plan, dataset)
            assert output_bytes(plan, dataset) == first, dataset


def test_manifest_and_arrays_of_the_digits(make_plan: MakePlan) -> None:
    pack = fetch_and_prepare(make_plan(DIGITS), "digits")
    assert pack.manifest["splits"] == {"train": [0, 1437], "test": [1437, 1797]}
    assert pack.manifest["count"] == 1797
    assert pack.manifest["classes"] == list("0123456789")
    assert pack.manifest["source"] == json.loads(Path("data/small/digits/source.json").read_text())["digest"]
    assert pack.images.shape == (1797, 8, 8, 3)
    assert isinstance(pack.images, np.memmap)
    assert pack.labels.dtype == np.int64
    assert len(pack.sha256) == 64
    assert isinstance(np.load("data/small/digits/images.npy", mmap_mode="r"), np.memmap)


def test_digits_at_another_resolution(make_plan: MakePlan) -> None:
    plan = make_plan({"digits": {**DIGITS["digits"], "resolution": 16, "resize": "bicubic"}})
    assert fetch_and_prepare(plan, "digits").images.shape == (1797, 16, 16, 3)


def test_datasets_with_equal_settings_share_one_pack(make_plan: MakePlan, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(DIGITS | {"cifar10": DIGITS["digits"]})
    fetch_and_prepare(plan, "digits")
    fetch_and_prepare(plan, "cifar10")
    assert "prepare cifar10: has the same data and settings as the pack in data/store/" in capsys.readouterr().err
    assert len([path for path in Path("data/store").iterdir() if path.is_dir()]) == 1
    assert output_bytes(plan, "digits") == output_bytes(plan, "cifar10")


def test_a_deleted_output_is_restored_without_packing_again(
    make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(folder_dataset(photographs, 600))
    fetch_and_prepare(plan, "mine")
    before = output_bytes(plan, "mine")
    for name in OUTPUTS:
        (plan.paths.data("mine") / name).unlink()
    monkeypatch.setattr("transgan.data.prepare.open_reader", None)  # the source is not read again
    prepare(plan, "mine")
    assert output_bytes(plan, "mine") == before


def test_prepare_before_fetch_names_the_command_to_run(make_plan: MakePlan) -> None:
    with pytest.raises(UserError, match=r"source.json: not there; run `transgan fetch digits` first"):
        prepare(make_plan(DIGITS), "digits")


def test_an_archive_deleted_after_fetch(make_plan: MakePlan, tmp_path: Path) -> None:
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets(), mirror=server.url)
        fetch(plan, "cifar10")
    Path("data/archives/cifar10/cifar-10-python.tar.gz").unlink()
    with pytest.raises(UserError, match="not there any more; run `transgan fetch`"):
        prepare(plan, "cifar10")


def test_counts_are_checked(make_plan: MakePlan, tmp_path: Path) -> None:
    datasets = small_datasets()
    datasets["church256"]["splits"][0]["count"] = 126227
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(datasets, mirror=server.url)
        with pytest.raises(UserError, match=r"has 5 images, 126,227 are expected.*allow_partial"):
            fetch_and_prepare(plan, "church256")
        assert not plan.paths.data("church256").joinpath("images.npy").exists()
        datasets["church256"]["allow_partial"] = True
        assert fetch_and_prepare(with_datasets(plan, datasets), "church256").manifest["count"] == 5


def with_datasets(plan: Plan, datasets: dict[str, Any]) -> Plan:
    content = plan.params.model_dump(mode="json") | {"datasets": datasets}
    return Plan(type(plan.params).model_validate(content), plan.scale_name, plan.file)


def test_the_digest_covers_images_and_labels(make_plan: MakePlan) -> None:
    pack = fetch_and_prepare(make_plan(DIGITS), "digits")
    sums = subprocess.run(
        "sha256sum images.npy labels.npy | sha256sum",
        shell=True,
        cwd="data/small/digits",
        capture_output=True,
        check=True,
    )
    assert pack.sha256 == sums.stdout.decode().split()[0]


def test_celebahq_as_npy_files_is_packed(make_plan: MakePlan) -> None:
    folder = Path("data/incoming/celebahq")
    folder.mkdir(parents=True)
    for i in range(3):
        np.save(folder / f"imgHQ{i:05d}.npy", pixels(i, 16, 16).transpose(2, 0, 1)[None])
    split = {"name": "train", "count": 3, "parts": ["train"]}
    plan = make_plan(
        {"hq": {"source": "celebahq", "resolution": 16, "resize": "box", "splits": [split], "train_splits": ["train"]}}
    )
    fetch(plan, "hq")
    prepare(plan, "hq")
    np.testing.assert_array_equal(Pack.open(plan.paths.data("hq")).images, [pixels(i, 16, 16) for i in range(3)])


WITHOUT_LMDB = """
import sys
sys.modules["lmdb"] = None  # importing it now raises ModuleNotFoundError
from pathlib import Path
from transgan.config.plan import Plan
from transgan.data.fetch import fetch
from transgan.data.prepare import prepare
from transgan.errors import UserError
from transgan.schema import Params
plan = Plan(Params.model_validate_json(sys.argv[1]), "small", Path("params.yaml"))
for dataset in plan.datasets:
    fetch(plan, dataset)
    try:
        prepare(plan, dataset)
        print(dataset, "prepared")
    except UserError as error:
        print(error)
"""


def test_only_lsun_needs_lmdb(make_plan: MakePlan, tmp_path: Path) -> None:
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets(), mirror=server.url)
        with run_in_process(WITHOUT_LMDB, plan) as process:
            assert process.stdout is not None
            lines = process.stdout.read().splitlines()
    assert process.returncode == 0
    others = [f"{dataset} prepared" for dataset in plan.datasets if dataset != "church256"]
    (message,) = set(lines) - set(others)
    assert set(others) < set(lines)
    assert "pip install lmdb" in message
