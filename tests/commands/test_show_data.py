"""`transgan data`: the state of a dataset and the next step, from an empty folder to the finished pack."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import MakePlan
from tests.data.http_server import serving
from tests.data.sample_archives import celebahq, cifar10, encode, pixels, small_datasets, with_sums
from transgan.commands.show_data import show, status
from transgan.config.plan import Plan
from transgan.data import packing
from transgan.data.fetch import fetch
from transgan.data.prepare import prepare
from transgan.data.sources.catalog import INCOMING
from transgan.schema import Params

KEYS = {"dataset", "source", "state", "bytes", "count", "digest", "licence", "next"}


def row(plan: Plan, dataset: str) -> dict[str, Any]:
    return next(row for row in status(plan) if row["dataset"] == dataset)


def test_in_an_empty_folder_every_dataset_is_missing(make_plan: MakePlan) -> None:
    plan = make_plan(
        small_datasets()
        | {"mine": {"source": "folder", "path": "gone", "resolution": 8, "splits": [{"name": "train"}]}}
    )
    rows = status(plan)
    assert [row["dataset"] for row in rows] == list(plan.datasets)
    assert all(set(row) == KEYS and row["licence"] and row["next"] for row in rows)
    assert {row["state"] for row in rows} == {"missing", "manual download needed"}
    assert row(plan, "cifar10")["next"] == "transgan fetch cifar10"
    assert "data/incoming/" in row(plan, "celebahq256")["next"]
    assert "gone" in row(plan, "mine")["next"]


def test_the_states_from_download_to_pack(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    content = with_sums(cifar10())
    with serving(content) as server:
        plan = make_plan(small_datasets(), mirror=server.url)
        Path("data/archives/cifar10").mkdir(parents=True)
        part = Path("data/archives/cifar10/.cifar-10-python.tar.gz.part")
        part.write_bytes(content["cifar-10-python.tar.gz"][:1000])
        assert row(plan, "cifar10")["state"].startswith("downloading, about 0%")
        fetch(plan, "cifar10")
    fetched = row(plan, "cifar10")
    assert (fetched["state"], fetched["next"]) == ("fetched", "transgan prepare cifar10")
    assert fetched["bytes"] >= len(content["cifar-10-python.tar.gz"])
    assert fetched["count"] is None

    with monkeypatch.context() as context:
        context.setattr(packing, "BATCH_IMAGES", 4)
        context.setattr(packing, "finish_images", None)
        original = packing.pack_batch
        context.setattr(
            packing,
            "pack_batch",
            lambda shaper, rows, batch: original(shaper, rows, batch) if batch[0][0] < 12 else 1 / 0,
        )
        with pytest.raises(ZeroDivisionError):
            prepare(plan, "cifar10")
    assert row(plan, "cifar10")["state"] == "packing, 50% done"
    prepare(plan, "cifar10")
    done = row(plan, "cifar10")
    assert (done["state"], done["next"], done["count"]) == ("packed", "", 24)
    assert len(done["digest"]) == 12
    assert done["digest"] != fetched["digest"]

    changed = plan.params.model_dump(mode="json")
    changed["datasets"]["cifar10"]["resolution"] = 16
    again = Plan(Params.model_validate(changed), plan.scale_name, plan.file)
    assert row(again, "cifar10")["state"] == "packed from other data or settings"
    assert row(again, "cifar10")["next"] == "transgan prepare cifar10"


def test_files_placed_by_hand_and_a_folder_of_images(make_plan: MakePlan) -> None:
    plan = make_plan(
        small_datasets()
        | {"mine": {"source": "folder", "path": "mine", "resolution": 8, "splits": [{"name": "train"}]}}
    )
    INCOMING.mkdir(parents=True)
    (INCOMING / "celebahq.zip").write_bytes(celebahq()["celebahq.zip"])
    Path("mine").mkdir()
    Path("mine/a.png").write_bytes(encode(pixels(1, 8, 8), "PNG"))
    for dataset in ("celebahq256", "mine"):
        assert row(plan, dataset)["state"] == "present, not verified"
        assert row(plan, dataset)["next"] == f"transgan fetch {dataset}"
        fetch(plan, dataset)
        assert row(plan, dataset)["state"] == "fetched"


def test_the_table_shows_every_dataset_with_its_terms_and_next_step(
    make_plan: MakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(small_datasets())
    show(plan)
    text = " ".join(capsys.readouterr().out.split())
    for dataset in plan.datasets:
        assert f"{dataset}: " in text
    assert "next for stl10: transgan fetch stl10" in text
    show(plan, as_json=True)
    assert json.loads(capsys.readouterr().out)["datasets"] == status(plan)
