"""The stage fetch: mirrors, files that a user placed, digests recorded at the first download, concurrent processes."""

import hashlib
import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import MakePlan
from tests.data.http_server import Server, serving, status
from tests.data.sample_archives import (
    celeba,
    celebahq,
    cifar10,
    every_archive,
    lmdb_folder,
    lsun,
    small_datasets,
    with_sums,
)
from transgan.data.fetch import fetch
from transgan.data.prepare import prepare
from transgan.data.sources import catalog, download
from transgan.data.sources.catalog import ARCHIVES, INCOMING, RemoteFile, Source
from transgan.errors import UserError

CIFAR = "cifar-10-python.tar.gz"


CHURCH = "church_outdoor_train_lmdb.zip"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 1.0)


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return publisher(server, source, content): `server` becomes the publisher of `source` with these files."""

    def publish(server: Server, source: str, content: dict[str, bytes], known: bool = True) -> None:
        files = tuple(
            RemoteFile(
                name,
                (f"{server.url}/{name}",),
                f"md5:{hashlib.md5(data).hexdigest()}" if known else None,
                len(data),
                old.alternative_names,
                old.only_for_crop,
            )
            for (name, data), old in zip(content.items(), catalog.CATALOG[source].files, strict=True)
        )
        old = catalog.CATALOG[source]
        monkeypatch.setitem(
            catalog.CATALOG, source, Source(old.title, old.homepage, old.licence, files, old.requires_agreement)
        )

    return publish


def source_json(dataset: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(f"data/small/{dataset}/source.json").read_text())
    return content


def test_download_from_the_publisher(make_plan: MakePlan, publisher: Any) -> None:
    plan, content = make_plan(small_datasets()), cifar10()
    with serving(content) as server:
        publisher(server, "cifar10", content)
        fetch(plan, "cifar10")
        first = Path("data/small/cifar10/source.json").read_bytes()
        fetch(plan, "cifar10")
        assert len(server.requests) == 1
    assert Path("data/small/cifar10/source.json").read_bytes() == first
    entry = source_json("cifar10")["files"][0]
    assert entry == {"name": CIFAR, "size": len(content[CIFAR]), "sha256": hashlib.sha256(content[CIFAR]).hexdigest()}


def test_a_damaged_download_is_fetched_again(make_plan: MakePlan, publisher: Any) -> None:
    plan, content = make_plan(small_datasets()), cifar10()
    with serving(content) as server:
        publisher(server, "cifar10", content)
        fetch(plan, "cifar10")
        (ARCHIVES / "cifar10" / CIFAR).write_bytes(b"damaged")
        fetch(plan, "cifar10")
    assert (ARCHIVES / "cifar10" / CIFAR).read_bytes() == content[CIFAR]


def test_a_mirror_comes_first_and_its_sha256sums_decide(make_plan: MakePlan, tmp_path: Path) -> None:
    """The small archives do not have the published digests, but those in the mirror's SHA256SUMS."""
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets(), mirror=f"{server.url}/")
        for dataset in plan.datasets:
            fetch(plan, dataset)
    digests = {dataset: source_json(dataset)["digest"] for dataset in plan.datasets}
    assert digests.pop("celeba64") == digests["celeba128"]
    assert len(set(digests.values())) == 5


def test_a_mirror_may_be_a_folder(make_plan: MakePlan, tmp_path: Path) -> None:
    mirror = tmp_path / "lab"
    mirror.mkdir()
    for name, content in with_sums(cifar10()).items():
        (mirror / name).write_bytes(content)
    plan = make_plan(small_datasets(), mirror=mirror)
    fetch(plan, "cifar10")
    assert (ARCHIVES / "cifar10" / CIFAR).read_bytes() == (mirror / CIFAR).read_bytes()
    with pytest.raises(UserError, match="neither a URL nor an existing folder"):
        fetch(make_plan(small_datasets(), mirror=tmp_path / "gone"), "cifar10")


def test_a_damaged_copy_in_a_mirror_folder_is_skipped(make_plan: MakePlan, publisher: Any, tmp_path: Path) -> None:
    content = cifar10()
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / CIFAR).write_bytes(b"damaged")
    with serving(content) as server:
        publisher(server, "cifar10", content)
        fetch(make_plan(small_datasets(), mirror=tmp_path / "lab"), "cifar10")
    assert (ARCHIVES / "cifar10" / CIFAR).read_bytes() == content[CIFAR]


def test_a_mirror_without_sums_must_have_the_published_content(make_plan: MakePlan, publisher: Any) -> None:
    content = cifar10()
    with serving({CIFAR: b"repacked"}) as mirror, serving(content) as server:
        publisher(server, "cifar10", content)
        fetch(make_plan(small_datasets(), mirror=mirror.url), "cifar10")
    assert (ARCHIVES / "cifar10" / CIFAR).read_bytes() == content[CIFAR]


def test_the_first_download_fixes_the_digest_where_none_is_published(
    make_plan: MakePlan, publisher: Any, tmp_path: Path
) -> None:
    plan, content = make_plan(small_datasets()), lsun(tmp_path / "lsun")
    with serving(dict(content)) as server:
        publisher(server, "lsun", content, known=False)
        fetch(plan, "church256")
        first = source_json("church256")
        shutil.move(str(ARCHIVES / "lsun" / CHURCH), str(tmp_path / "aside"))
        server.files[CHURCH] = content[CHURCH] + b"changed"
        with pytest.raises(UserError, match="not the published content"):
            fetch(plan, "church256")
        server.files[CHURCH] = content[CHURCH]
        fetch(plan, "church256")
    assert source_json("church256") == first


def test_if_all_hosts_refuse_one_line_names_the_files_to_place(make_plan: MakePlan, publisher: Any) -> None:
    plan = make_plan(small_datasets())
    content = {"img_align_celeba.zip": b"1", "list_eval_partition.txt": b"2", "list_landmarks_align_celeba.txt": b"3"}
    with serving({"list_eval_partition.txt": b"2"}) as server:
        server.faults["img_align_celeba.zip"] = [status(403)]
        publisher(server, "celeba", content)
        with pytest.raises(UserError) as error:
            fetch(plan, "celeba64")
    message = str(error.value)
    assert "\n" not in message
    for needed in (
        "img_align_celeba.zip, checked by md5 c4ca4238a0b923820dcc509a6f75849b",
        "HTTP 403",
        "data/incoming/",
        "mmlab",
    ):
        assert needed in message
    assert "list_eval_partition.txt, checked" not in message
    assert "list_landmarks" not in message  # only a crop around the landmarks needs it
    assert (ARCHIVES / "celeba" / "list_eval_partition.txt").read_bytes() == b"2"  # a finished download stays


def test_only_a_crop_around_landmarks_fetches_their_file(make_plan: MakePlan, publisher: Any) -> None:
    """Both datasets have CelebA's source. An earlier download of the landmarks stays, and changes nothing."""
    landmarks = "list_landmarks_align_celeba.txt"
    fixed = small_datasets()["celeba64"] | {"crop": "face148"}
    plan, content = make_plan({"fixed": fixed, "aligned": fixed | {"crop": "landmarks"}}), celeba()
    with serving(content) as server:
        publisher(server, "celeba", content)
        fetch(plan, "fixed")
        assert not server.ranges(landmarks)
        without = source_json("fixed")
        assert [file["name"] for file in without["files"]] == ["img_align_celeba.zip", "list_eval_partition.txt"]
        prepare(plan, "fixed")
        fetch(plan, "aligned")
        assert [file["name"] for file in source_json("aligned")["files"]] == list(content)
        prepare(plan, "aligned")
        requests = len(server.requests)
        fetch(plan, "fixed")
        assert len(server.requests) == requests
    assert (ARCHIVES / "celeba" / landmarks).read_bytes() == content[landmarks]
    assert source_json("fixed") == without


def test_a_file_that_a_user_placed_is_checked_used_and_not_changed(make_plan: MakePlan, publisher: Any) -> None:
    plan, content = make_plan(small_datasets()), cifar10()
    INCOMING.mkdir(parents=True)
    placed = INCOMING / CIFAR
    with serving({}) as server:
        publisher(server, "cifar10", content)
        placed.write_bytes(b"cut off")
        with pytest.raises(UserError, match=r"data/incoming/cifar-10-python.tar.gz: is not .* as published \(md5:"):
            fetch(plan, "cifar10")
        assert placed.read_bytes() == b"cut off"
        placed.write_bytes(content[CIFAR])
        fetch(plan, "cifar10")
        assert not server.requests
    assert placed.read_bytes() == content[CIFAR]


def test_a_source_that_needs_an_agreement_asks_the_user(make_plan: MakePlan) -> None:
    plan = make_plan(small_datasets())
    with pytest.raises(
        UserError,
        match=r"agreement.*data/incoming/: celebahq.zip or celebahq or .*CelebAMask-HQ.zip.*number of images",
    ):
        fetch(plan, "celebahq256")
    INCOMING.mkdir(parents=True)
    (INCOMING / "CelebAMask-HQ.zip").write_bytes(celebahq()["celebahq.zip"])
    fetch(plan, "celebahq256")
    assert source_json("celebahq256")["files"][0]["name"] == "CelebAMask-HQ.zip"


def test_an_unpacked_lmdb_may_be_placed(make_plan: MakePlan) -> None:
    plan = make_plan(small_datasets())
    folder = INCOMING / "church_outdoor_train_lmdb"
    folder.mkdir(parents=True)
    lmdb_folder(folder)
    fetch(plan, "church256")
    assert source_json("church256")["files"][0]["name"] == "church_outdoor_train_lmdb/"


def _fetch_with(mirror: str, root: str) -> None:
    import os

    from tests.data.sample_archives import small_datasets
    from transgan.config.plan import Plan
    from transgan.schema import Params

    os.chdir(root)
    nothing: dict[str, Any] = {kind: {} for kind in ("models", "recipes", "protocols", "classifiers", "runs")}
    scale = {
        "description": "tests",
        "comparable": False,
        **nothing,
        "datasets": {name: {} for name in small_datasets()},
    }
    content = {
        "scale": "small",
        "scales": {"small": scale},
        **nothing,
        "datasets": small_datasets(),
        "tables": {},
        "figures": {},
    }
    params = Params.model_validate({**content, "data": {"mirror": mirror}})
    fetch(Plan(params, "small", Path("params.yaml")), "cifar10")


def test_concurrent_processes_download_once(make_plan: MakePlan) -> None:
    make_plan(small_datasets())
    context = multiprocessing.get_context("spawn")
    with serving(with_sums(cifar10(per_batch=40))) as server:
        processes = [context.Process(target=_fetch_with, args=(server.url, str(Path.cwd()))) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0]
        assert len(server.ranges(CIFAR)) == 1
