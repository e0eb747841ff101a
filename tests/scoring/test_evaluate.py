"""evaluate: every kind of target and reference, the same numbers as the stages, and errors in one line."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import transgan
from tests.scoring.conftest import REFERENCE, RUN
from transgan.config import plan
from transgan.data.pack import Pack
from transgan.errors import UserError
from transgan.metrics.reference_statistics import export_statistics
from transgan.models.serialization import load_generator, save_generator
from transgan.scoring import evaluate as evaluation
from transgan.scoring import reference, score
from transgan.scoring.evaluate import evaluate, render


def digits(split: str) -> np.ndarray:
    pack = Pack.open(plan.load().paths.data("cifar10"))
    return pack.read(pack.rows([split]))


def npz(images: np.ndarray, name: str = "images.npz") -> str:
    np.savez(name, images=images)
    return name


def folder(images: np.ndarray, name: str = "images") -> str:
    Path(name).mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(f"{name}/{number:04d}.png")
    return name


def test_a_run_gets_the_scores_of_its_stage(project: Path) -> None:
    current = plan.load()
    score.score(current, RUN)
    staged = json.loads(current.paths.score(RUN).read_text())["protocols"]["few"]
    result = evaluate(current, RUN, "cifar10")
    assert result["metrics"] == staged
    assert result["summary"]["fid"]["mean"] == pytest.approx(np.mean(staged["fid"]["values"]))


def test_a_checkpoint_gets_the_scores_of_its_run(project: Path) -> None:
    current = plan.load()
    path = str(current.paths.run(RUN) / "generator.safetensors")
    by_name, by_path = (evaluate(current, target, "cifar10", metrics=["fid"])["metrics"] for target in (RUN, path))
    assert by_name == by_path


def test_folder_npz_pack_and_dataset_of_the_same_images_agree(project: Path) -> None:
    current = plan.load()
    images = digits("test")
    targets = [npz(images), folder(images), "cifar10:test", f"{current.paths.data('cifar10')}:test"]
    results = [
        evaluate(current, target, "cifar10", metrics=["fid"], changes={"samples": 360})["metrics"] for target in targets
    ]
    assert all(result == results[0] for result in results)


def test_real_images_score_better_than_an_untrained_generator(project: Path) -> None:
    current = plan.load()
    real, generated = (evaluate(current, target, "cifar10")["summary"] for target in ("cifar10:test", RUN))
    assert real["fid"]["mean"] < generated["fid"]["mean"]
    assert real["precision"]["mean"] > generated["precision"]["mean"]


def test_a_set_against_itself_is_perfect(project: Path) -> None:
    changes = {"samples": 300, "reference_samples": 300}
    result = evaluate(plan.load(), "cifar10:train", "cifar10:train", metrics=["fid", "prc"], changes=changes)["summary"]
    assert abs(result["fid"]["mean"]) < 1e-3
    assert (result["precision"]["mean"], result["recall"]["mean"]) == (1.0, 1.0)


@pytest.mark.parametrize("kind", ["dataset", "pack", "folder", "npz", "statistics"])
def test_every_kind_of_reference_gives_the_same_fid(project: Path, kind: str) -> None:
    current = plan.load()
    usual = evaluate(current, "cifar10:test", "cifar10", metrics=["fid"])["metrics"]
    images = digits("train")
    path = current.paths.reference(REFERENCE)
    if kind == "statistics":
        export_statistics(path, Path("statistics.npz"))
        assert set(np.load("statistics.npz").files) == {"mu", "sigma"}
    names = {
        "dataset": lambda: "cifar10:train",
        "pack": lambda: f"{current.paths.data('cifar10')}:train",
        "folder": lambda: folder(images),
        "npz": lambda: npz(images),
        "statistics": lambda: "statistics.npz",
    }
    metrics = evaluate(current, "cifar10:test", names[kind](), "few", metrics=["fid"])["metrics"]
    assert metrics["fid"]["values"] == pytest.approx(usual["fid"]["values"], rel=1e-5)


def test_kid_against_statistics_is_refused(project: Path) -> None:
    current = plan.load()
    export_statistics(current.paths.reference(REFERENCE), Path("statistics.npz"))
    with pytest.raises(UserError, match=r"KID needs the features of the reference.*; give images, or --metrics is,fid"):
        evaluate(current, RUN, "statistics.npz", metrics=["kid"])


def test_the_order_of_an_archive_changes_no_score(project: Path) -> None:
    unsorted = Path(folder(digits("test")))
    with zipfile.ZipFile("images.zip", "w") as archive:
        for path in sorted(unsorted.iterdir(), key=lambda path: path.name[::-1]):
            archive.write(path, path.name)
    options = {"metrics": ["is", "kid", "fid"], "changes": {"samples": 360}}
    in_folder, in_zip = (
        evaluate(plan.load(), target, "cifar10", **options)["metrics"] for target in ("images", "images.zip")
    )
    # Not the same bits: on some processors a kernel rounds differently by an image's place in its batch.
    for metric, found in in_zip.items():
        assert found["values"] == pytest.approx(in_folder[metric]["values"], rel=1e-4)
    by_folder, by_zip = (
        evaluate(plan.load(), RUN, name, metrics=["kid"])["metrics"] for name in ("images", "images.zip")
    )
    assert by_zip["kid"]["values"] == pytest.approx(by_folder["kid"]["values"], rel=1e-4)


def test_a_reference_of_images_is_stored_and_recomputed_when_anything_changes(project: Path) -> None:
    current = plan.load()
    path = npz(digits("train"), "reference.npz")

    def stored() -> int:
        return len(list((current.paths.state / "reference" / "evaluate").glob("*/finished.json")))

    evaluate(current, RUN, path, metrics=["fid"])
    evaluate(current, RUN, path, metrics=["fid"])
    assert stored() == 1
    evaluate(current, RUN, path, metrics=["fid", "kid"])  # must store features
    assert stored() == 2
    evaluate(current, RUN, path, metrics=["fid"], changes={"reference_samples": 500})
    assert stored() == 3
    npz(digits("train")[:1000], "reference.npz")
    evaluate(current, RUN, path, metrics=["fid"])
    assert stored() == 4


def test_a_damaged_stored_reference_is_recomputed_with_a_warning(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    current = plan.load()
    path = npz(digits("train"), "reference.npz")
    first = evaluate(current, RUN, path, metrics=["fid"])["metrics"]
    held = next((current.paths.state / "reference" / "evaluate").glob("*/statistics.npz"))
    content = bytearray(held.read_bytes())
    content[len(content) // 2] ^= 1
    held.write_bytes(content)
    capsys.readouterr()
    assert evaluate(current, RUN, path, metrics=["fid"])["metrics"] == first
    assert "missing or damaged; computing the result again" in capsys.readouterr().err


def test_a_damaged_reference_of_the_stage_is_recomputed_with_a_warning(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    current = plan.load()
    declared = current.paths.reference(REFERENCE)
    good = declared.read_bytes()
    for path in [declared, *Path("state").rglob("statistics.npz")]:
        path.write_bytes(good[:1000])
    reference.compute(current, REFERENCE)
    assert "missing or damaged; computing the result again" in capsys.readouterr().err
    assert declared.read_bytes() == good


@pytest.mark.parametrize("name", ["mu", "sigma", "nan", "negative", "lopsided", "objects", "text", "other"])
def test_bad_statistics_are_refused(project: Path, name: str) -> None:
    good = {"mu": np.zeros(64), "sigma": np.eye(64)}
    bad = {
        "mu": {**good, "mu": np.zeros((64, 1))},
        "sigma": {**good, "sigma": np.eye(63)},
        "nan": {**good, "sigma": np.full((64, 64), np.nan)},
        "negative": {**good, "sigma": -np.eye(64)},
        "lopsided": {**good, "sigma": np.eye(64) + np.eye(64, k=1)},
        "objects": {**good, "mu": np.array([None] * 64)},
        "other": {"mu": np.zeros(2048), "sigma": np.eye(2048)},
    }
    if name == "text":
        Path("statistics.npz").write_text("no archive")
    else:
        np.savez("statistics.npz", **bad[name])  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"statistics\.npz|not the same layer") as caught:
        evaluate(plan.load(), RUN, "statistics.npz", metrics=["fid"])
    assert "allow_pickle" not in str(caught.value)


def test_one_image_and_too_few_are_refused(project: Path) -> None:
    current = plan.load()
    with pytest.raises(UserError, match="a single image has no distribution"):
        evaluate(current, npz(digits("test")[:1]), "cifar10", metrics=["fid"])
    with pytest.raises(UserError, match="40 images are fewer than the 64 features"):
        evaluate(current, npz(digits("test")[:40]), "cifar10", metrics=["fid"])


def test_fewer_images_than_the_protocol_names_give_a_warning(project: Path) -> None:
    result = evaluate(plan.load(), npz(digits("test")[:150]), "cifar10", metrics=["fid"])
    assert any("instead of the protocol's 200" in warning for warning in result["warnings"])
    assert "150 images" in render(result)


def test_images_of_another_size_than_the_reference_are_refused(project: Path) -> None:
    large = np.kron(digits("test")[:100], np.ones((1, 2, 2, 1), np.uint8))
    with pytest.raises(UserError, match="16 pixels, but 8 are needed"):
        evaluate(plan.load(), npz(large), "cifar10")
    with pytest.raises(UserError, match="16 x 16 pixels, but 8 x 8 are needed"):
        evaluate(plan.load(), folder(large), "cifar10")
    resized = evaluate(plan.load(), "images", "cifar10", metrics=["fid"], changes={"resize": "box"})
    assert resized["summary"]["fid"]["mean"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing", "cifar10"), "nothing: no file or folder, and no run or dataset"),
        ((RUN, "nothing"), "nothing: no file or folder"),
        ((RUN, "cifar10", "fe"), "no protocol 'fe'; did you mean 'few'"),
        ((RUN, "cifar10", "few", ["fidd"]), "protocol few: metrics.0"),
        (("cifar10:tests", "cifar10"), "no split 'tests'"),
    ],
)
def test_bad_arguments_are_one_line(project: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(plan.load(), *arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("target", "real"), [("nothing", "cifar10"), ("nothing.pth", "cifar10"), (RUN, "nothing")])
def test_a_missing_name_is_refused_before_weights_are_downloaded(
    project: Path, monkeypatch: pytest.MonkeyPatch, target: str, real: str
) -> None:
    monkeypatch.setattr(evaluation.weights, "locate", None)
    with pytest.raises(UserError, match="nothing"):
        evaluate(plan.load(), target, real)


def test_changes_of_the_protocol_are_checked(project: Path) -> None:
    with pytest.raises(UserError, match="protocol few: sampels: Extra inputs"):
        evaluate(plan.load(), RUN, "cifar10", changes={"sampels": 3})
    with pytest.raises(UserError, match="feature_layer '2048' is not a layer of digits"):
        evaluate(plan.load(), RUN, "cifar10", metrics=["fid"], changes={"feature_layer": "2048"})


def test_stored_references_are_listed_and_removed(project: Path) -> None:
    current = plan.load()
    listed = list(reference.stored_references(current))
    assert [(entry.name, entry.current) for entry in listed] == [(str(REFERENCE), True)]
    assert reference.remove(current, str(REFERENCE)) == listed[0].size > 0
    assert not current.paths.reference(REFERENCE).exists()
    with pytest.raises(UserError, match="nothing is stored at scale tiny; stored references: none"):
        reference.remove(current, str(REFERENCE))


def test_the_result_has_the_titles_of_its_metrics(project: Path) -> None:
    result = evaluate(plan.load(), RUN, "cifar10", metrics=["fid"])
    assert result["settings"]["titles"]["fid"] == "FID-digits"
    assert "FID-digits: " in render(result)
    assert json.loads(json.dumps(result)) == result


def test_threads_of_torch_are_the_protocols(project: Path) -> None:
    evaluate(plan.load(), "cifar10:test", "cifar10", metrics=["fid"])
    assert torch.get_num_threads() == 1
    assert subprocess.run(
        ["ls", "state/tiny/reference"], capture_output=True, text=True, check=True
    ).stdout.strip() == str(REFERENCE)


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Call the command line as a user does, with these environment variables."""
    command = [str(Path(sys.executable).parent / "transgan"), "evaluate", *arguments]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False, timeout=300)
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
    ],
)
def test_names_that_a_terminal_cannot_print_lose_nothing(project: Path, environment: dict[str, str]) -> None:
    images = digits("test")
    target = folder(images, os.fsdecode(b"caf\xe9"))
    (Path(target) / "0000.png").rename(Path(target) / os.fsdecode(b"na\xefve.png"))
    done = call(target, "--reference", "cifar10", "--metrics", "fid", "--samples", "360", **environment)
    assert done.returncode == 0
    assert b"FID-digits: " in done.stdout
    (kept,) = Path("state/tiny/evaluations").glob("*.json")
    assert json.loads(kept.read_bytes())["metrics"]["fid"]["values"]


@pytest.mark.faults
@pytest.mark.slow
def test_a_damaged_image_of_such_a_name_is_one_line(project: Path) -> None:
    target = folder(digits("test"))
    (Path(target) / "0000.png").rename(Path(target) / os.fsdecode(b"caf\xe9.png")).write_bytes(b"damaged")
    done = call(target, "--reference", "cifar10", "--metrics", "fid", "--samples", "360")
    assert done.returncode == 2
    assert b"caf\\udce9.png: not an image" in done.stderr


@pytest.mark.faults
def test_a_generator_without_its_average_carries_that_in_its_scores(project: Path) -> None:
    current = plan.load()
    path = current.paths.run(RUN) / "generator.safetensors"
    saved = load_generator(path)
    save_generator(Path("last.safetensors"), saved.module, saved.config, {"images": 0, "caution": "the last weights"})
    assert "the last weights" in evaluate(current, "last.safetensors", "cifar10", metrics=["fid"])["warnings"]
    scores = json.loads(score.score_file(current, Path("last.safetensors"), RUN).read_text())
    assert "the last weights" in scores["warnings"]["few"]


def test_a_module_or_a_function_scores_as_the_run_that_it_is(project: Path) -> None:
    expected = transgan.evaluate(RUN, "cifar10")["metrics"]
    generator = transgan.load_generator(RUN)
    assert transgan.evaluate(generator, "cifar10")["metrics"] == expected
    module = generator.module
    if module.noise_width == 0:
        assert transgan.evaluate(module, "cifar10", "few", latent=module.latent)["metrics"] == expected
        result = transgan.evaluate(lambda z: module(z), "cifar10", "few", latent=module.latent, metrics=["fid"])
        assert (result["target"], list(result["metrics"])) == ("<lambda>", ["fid"])
        assert result["metrics"]["fid"] == expected["fid"]


def test_images_of_a_function_must_be_square_and_have_three_channels(project: Path) -> None:
    with pytest.raises(UserError, match=r"\(1, 16\); they must be float"):
        transgan.evaluate(torch.nn.Identity(), "cifar10", latent=16)
