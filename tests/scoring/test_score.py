"""The stages reference and score on a tiny project: contents, same bytes, finished work, and what runs them again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.metrics.images import Images
from tests.models.test_official_checkpoints import released_keys
from tests.scoring.conftest import REFERENCE, RUN, save_untrained, write_params
from transgan.config import plan
from transgan.errors import UserError
from transgan.models import build_generator
from transgan.scoring import reference, score
from transgan.utils import files


def scored(name: str = RUN) -> dict[str, object]:
    current = plan.load()
    score.score(current, name)
    content: dict[str, object] = json.loads(current.paths.score(name).read_text())
    return content


def test_a_score_file_holds_values_and_settings(project: Path) -> None:
    content = scored()
    current = plan.load()
    values = content["protocols"]["few"]  # type: ignore[index]
    assert set(values) == {"is", "fid", "kid", "precision", "recall"}
    assert all(len(metric["values"]) == 2 for metric in values.values())
    assert len(values["is"]["split_std"]) == 2
    assert values["fid"]["values"][0] != values["fid"]["values"][1]
    assert content["fingerprint"] == current.fingerprint("score", RUN)
    assert content["train_fingerprint"] == current.fingerprint("train", RUN)
    assert content["settings"]["few"]["samples"] == 200  # type: ignore[index]
    assert content["settings"]["few"]["reference_count"] == 1437  # type: ignore[index]


def test_score_equals_torch_fidelity_called_by_hand_on_the_same_images(project: Path) -> None:
    from torch_fidelity import calculate_metrics

    from transgan.data.pack import Pack
    from transgan.metrics import samples
    from transgan.models.serialization import load_generator

    values = scored()["protocols"]["few"]  # type: ignore[index]
    current = plan.load()
    pack = Pack.open(current.paths.data("cifar10"))
    generator = load_generator(current.paths.run(RUN) / "generator.safetensors").module
    generated = torch.cat(list(samples.uint8_samples(generator, 0, 200, 64, "truncate", torch.device("cpu"))))

    real = torch.from_numpy(pack.read(pack.rows(["train"]))).permute(0, 3, 1, 2)
    by_hand = calculate_metrics(
        input1=Images(generated),
        input2=Images(real),
        feature_extractor="digits",
        feature_extractor_weights_path=str(current.paths.classifier("digits")),
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        kid_subsets=10,
        kid_subset_size=100,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    expected = {
        "is": "inception_score_mean",
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "precision": "precision",
        "recall": "recall",
    }
    for name, theirs in expected.items():
        assert values[name]["values"][0] == pytest.approx(by_hand[theirs], abs=1e-6, rel=1e-6), name


@pytest.mark.slow
def test_scoring_again_in_another_process_gives_the_same_bytes(project: Path) -> None:
    scored()
    path = plan.load().paths.score(RUN)
    written = []
    for _ in range(2):  # neither in this process, which `same_bytes` can no longer limit to AVX2
        shutil.rmtree("state")
        shutil.rmtree("results/tiny/scores")
        subprocess.run([sys.executable, "-m", "transgan", "score", RUN], check=True)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_finished_scores_need_no_torch(project: Path) -> None:
    scored()
    code = (
        "import sys; from transgan.config import plan; from transgan.scoring import score, reference, classifier;"
        f"current = plan.load(); score.score(current, {RUN!r});"
        f"reference.compute(current, current.run({RUN!r}).reference);"
        "classifier.train(current, 'digits');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_lost_score_is_restored_without_work(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored()
    path = plan.load().paths.score(RUN)
    path.unlink()
    scored()
    assert path.exists()
    assert "already finished" in capsys.readouterr().err


def test_another_generator_is_scored_again(project: Path) -> None:
    first = scored()
    generator = save_untrained(plan.load())
    content = bytearray(generator.read_bytes())
    content[-2] ^= 64  # one bit of one weight
    generator.unlink()
    generator.write_bytes(content)
    assert scored()["protocols"] != first["protocols"]


def test_a_diverged_generator_has_no_score(project: Path) -> None:
    from transgan.models.serialization import load_generator, save_generator

    path = plan.load().paths.run(RUN) / "generator.safetensors"
    saved = load_generator(path)
    for parameter in saved.module.parameters():
        parameter.data.fill_(float("nan"))
    path.unlink()
    save_generator(path, saved.module, saved.config, {"images": 0})
    with pytest.raises(UserError, match="finite"):
        scored()
    assert not plan.load().paths.score(RUN).exists()


def test_missing_inputs_are_named_with_the_command_that_creates_them(project: Path) -> None:
    current = plan.load()
    (current.paths.run(RUN) / "generator.safetensors").unlink()
    with pytest.raises(UserError, match=f"generator.safetensors: not there; run `transgan train {RUN}` first"):
        scored()
    current.paths.reference(REFERENCE).unlink()
    save_untrained(current)
    with pytest.raises(UserError, match="run `transgan reference cifar10 few` first"):
        scored()


def test_results_of_another_configuration_are_not_scored_as_this_one(project: Path) -> None:
    current = plan.load()
    path = current.paths.run(RUN) / "run.json"
    files.write_json(path, {**files.read_json(path), "fingerprint": "0123456789abcdef"})
    with pytest.raises(
        UserError,
        match=f"run.json: computed under another configuration .0123456789abcdef.; run `transgan train {RUN}` first",
    ):
        scored()
    save_untrained(current)
    write_params(project, feature_layer="logits")  # the existing reference is of another layer
    with pytest.raises(
        UserError, match=r"few.npz: computed under another configuration .*; run `transgan reference cifar10 few` first"
    ):
        scored()


def test_fewer_samples_than_features_are_refused_unless_allowed(project: Path) -> None:
    write_params(project, samples=40, kid_subset_size=20)
    reference.compute(plan.load(), REFERENCE)
    with pytest.raises(UserError, match="samples: 40 images are fewer than the 64 features"):
        scored()
    write_params(project, samples=40, kid_subset_size=20, allow_few_samples=True)
    content = scored()
    assert "far too high" in content["warnings"]["few"][0]  # type: ignore[index]


def test_fid_by_count_is_recorded_and_extrapolated(project: Path) -> None:
    write_params(project, metrics=["fid"], fid_counts=[100, 150, 200])
    reference.compute(plan.load(), REFERENCE)
    fid = scored()["protocols"]["few"]["fid"]  # type: ignore[index]
    assert fid["counts"] == [100, 150, 200]
    assert fid["by_count"][0][-1] == fid["values"][0]
    assert len(fid["extrapolated"]) == 2


def test_a_reference_has_the_same_digest_every_time(project: Path) -> None:
    current = plan.load()
    path = current.paths.reference(REFERENCE)
    first = files.sha256(path)
    subprocess.run(["rm", "-r", "state/tiny/reference", str(path)], check=True)
    reference.compute(current, REFERENCE)
    assert files.sha256(path) == first
    assert set(np.load(path).files) == {"mu", "sigma", "count", "self_fid", "about", "floor", "features"}


def test_a_generator_file_is_scored_like_a_run_and_only_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = scored()
    current = plan.load()
    file = shutil.copy(current.paths.run(RUN) / "generator.safetensors", "mine.safetensors")
    out = score.score_file(current, Path(file), RUN)
    scores = json.loads(out.read_text())
    assert out == Path("mine.scores.json")
    assert scores["protocols"] == content["protocols"]
    assert scores["like"] == RUN
    assert {path.name for path in Path().iterdir() if "mine" in path.name} == {"mine.safetensors", "mine.scores.json"}
    before = out.stat().st_mtime_ns
    score.score_file(current, Path(file), RUN)
    assert out.stat().st_mtime_ns == before
    assert "already finished" in capsys.readouterr().err
    write_params(Path(), samples=150)
    score.score_file(plan.load(), Path(file), RUN)
    assert json.loads(out.read_text())["settings"]["few"]["samples"] == 150


def test_the_command_line_scores_a_checkpoint_of_the_authors(project: Path) -> None:
    module = build_generator(plan.load().run(RUN).model.generator)
    torch.save({"avg_gen_state_dict": released_keys(module)}, "released.pth")
    command = [sys.executable, "-m", "transgan", "score", "released.pth", "--like", RUN]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    values = json.loads(Path("released.scores.json").read_text())["protocols"]["few"]
    assert all(np.isfinite(values[metric]["values"]).all() for metric in ("is", "fid"))


def test_without_a_named_run_the_resolution_selects_one(project: Path) -> None:
    current = plan.load()
    size = current.run(RUN).dataset.resolution
    assert score._first_run(current, Path("g.pth"), size).name == next(iter(current.runs))
    with pytest.raises(UserError, match="no run's data has them at scale"):
        score._first_run(current, Path("g.pth"), size + 1)


def test_a_file_that_cannot_be_scored_is_refused(project: Path) -> None:
    current = plan.load()
    with pytest.raises(UserError, match="absent"):
        score.score_file(current, Path("absent.safetensors"))
    file = current.paths.run(RUN) / "generator.safetensors"
    with pytest.raises(UserError, match="run"):
        score.score_file(current, file, "one-cifar11")
    with pytest.raises(UserError, match="not a generator file"):
        score.score_file(current, Path("images.zip"))
