"""What `import transgan` offers: light to import, the paper's networks by name, and errors for people."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import transgan
from tests.conftest import ROOT, TINY
from transgan.models.serialization import save_generator

PARAMS = ROOT / "params.yaml"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """An untrained generator of the tiny params file, as a file."""
    plan = transgan.plan(params=TINY)
    generator = transgan.build("one-cifar10", None, params=TINY).generator
    path = tmp_path / "generator.safetensors"
    save_generator(path, generator, plan.run("one-cifar10").model.generator, {"images": 0})
    return path


def test_import_loads_nothing_heavy() -> None:
    script = (
        "import sys, transgan; print(sorted({'torch', 'numpy', 'pandas', 'pydantic', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_name_is_there_and_no_other() -> None:
    assert set(transgan.__all__) <= set(dir(transgan))
    for name in transgan.__all__:
        assert getattr(transgan, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        transgan.no_such_name  # noqa: B018


def test_build_gives_the_networks_of_the_paper() -> None:
    with torch.device("meta"):
        networks = transgan.build("transgan-celeba128", params=PARAMS)
    assert sum(parameter.numel() for parameter in networks.generator.parameters()) == 151_512_455
    assert networks.generator.resolution == 128
    assert networks.discriminator(torch.zeros(2, 3, 128, 128, device="meta")).shape == (2,)


def test_an_unknown_run_is_a_user_error() -> None:
    with pytest.raises(transgan.UserError, match="transgan-cifar11"):
        transgan.build("transgan-cifar11", params=PARAMS)


def test_samples_are_uint8_images_that_depend_on_the_seed_alone(saved: Path) -> None:
    generator = transgan.load_generator(saved)
    images = generator.sample(5)
    assert (images.shape, images.dtype) == ((5, generator.resolution, generator.resolution, 3), np.uint8)
    assert np.array_equal(generator.sample(3, batch=2), images[:3])
    assert not np.array_equal(generator.sample(5, seed=1), images)
    with pytest.raises(ValueError, match="at least 1"):
        generator.sample(0)


def test_a_file_needs_no_params_file(saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert transgan.load_generator(str(saved)).latent > 0
    with pytest.raises(transgan.UserError, match=r"params\.yaml"):
        transgan.load_generator("one-cifar10")


def test_a_run_that_is_not_trained_is_a_user_error(project: Path) -> None:
    (project / "one-cifar10").mkdir()  # a name that is no file of a generator is that of a run
    with pytest.raises(transgan.UserError, match="`transgan train one-cifar10`"):
        transgan.load_generator("one-cifar10")


def test_a_folder_without_a_generator_is_a_user_error(project: Path) -> None:
    (project / "empty").mkdir()
    with pytest.raises(transgan.UserError, match=r"empty: no folder with model\.safetensors"):
        transgan.load_generator("empty")


def test_cells_is_the_tidy_frame_of_all_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = transgan.cells("paper", params=PARAMS)
    headline = frame.query(
        "table == 'unconditional' and row == 'TransGAN' and column == 'CIFAR-10' and metric == 'fid'"
    )
    assert headline.paper.iloc[0] == 9.26
    assert headline.ours.isna().all()


def test_evaluate_wants_the_width_of_latents_of_a_function(project: Path) -> None:
    with pytest.raises(TypeError, match="latent is missing"):
        transgan.evaluate(nn.Identity(), "cifar10")
    with pytest.raises(TypeError, match="target is int"):
        transgan.evaluate(3, "cifar10")  # type: ignore[arg-type]


def test_the_examples_of_the_page_run(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/python.md").read_text()
    files, params, _ = [block.split("```")[0] for block in page.split("```python\n")[1:]]  # the last needs CIFAR-10
    monkeypatch.chdir(saved.parent)
    names: dict[str, object] = {}
    exec(files, names)
    assert np.shape(names["images"])[0] == 16
    shutil.copy(PARAMS, saved.parent)
    with torch.device("meta"):
        exec(params, names)
    assert isinstance(names["networks"], transgan.Networks)


def test_cells_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "transgan.report.cells_frame", raising=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(transgan.UserError, match=r"pip install 'transgan\[report\]'"):
        transgan.cells(params=PARAMS)
