"""With `same_bytes`, a process uses AVX2 and nothing else, whatever the processor and the user's environment offer."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY
from transgan.hardware import instruction_set
from transgan.hardware.instruction_set import REMOVED, SETTINGS, has_avx2, in_force, limit_to_avx2

needs_avx2 = pytest.mark.skipif(not has_avx2(), reason="this processor has no AVX2, or this is not Linux")

# What a user may have set for other programs: older instructions, another maker's kernels, faster modes.
HOSTILE = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "AUTO",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",
}

SEEN = """
import sys
from transgan.hardware.instruction_set import limit_to_avx2
assert limit_to_avx2()
import numpy, scipy.linalg, torch
from numpy._core._multiarray_umath import __cpu_features__ as numpy_uses
from threadpoolctl import threadpool_info
print(torch.backends.cpu.get_cpu_capability())
print(*sorted({library["architecture"] for library in threadpool_info() if library["internal_api"] == "openblas"}))
print(*[name for name in ("X86_V3", "X86_V4", "AVX512_ICL") if numpy_uses[name]])
"""

# Digest of both networks after an iteration on random images.
TRAINING = """
import copy, hashlib, sys
from pathlib import Path
if sys.argv[2] == "limited":
    from transgan.hardware.instruction_set import limit_to_avx2
    assert limit_to_avx2()
import torch
from transgan.config import plan as plans
from transgan.hardware.device import prepare_compute
from transgan.models import build_discriminator, build_generator
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.utils.random import RandomStreams
run = plans.load(Path(sys.argv[1])).run("one-cifar10")
prepare_compute(1, "cpu")
torch.manual_seed(0)
networks = build_generator(run.model.generator), build_discriminator(run.model.discriminator, 8)
trainer = Trainer(run.recipe, *networks, copy.deepcopy(networks[0]), ProcessGroup())
streams = RandomStreams(0)
inputs = RandomInputs(streams, run.recipe, trainer.augmentation, *networks)
real = streams.uniform("real", 0, run.recipe.batch, 3, 8, 8) * 2 - 1
for _ in range(run.recipe.n_critic):
    trainer.training_step(real, inputs)
digest = hashlib.sha256()
for network in networks:
    for parameter in network.parameters():
        digest.update(parameter.detach().numpy().tobytes())
print(digest.hexdigest())
"""

# Which of numpy and torch each verb has loaded when it limits the instructions.
VERBS = """
import sys
from transgan import cli
from transgan.hardware import instruction_set
class Reached(Exception): pass
def reached():
    raise Reached
instruction_set.limit_to_avx2 = reached
for arguments in {verbs!r}:
    try:
        cli.app([*arguments, "--params", sys.argv[1]], standalone_mode=False)
        print(arguments[0], "is not limited")
    except Reached:
        print(arguments[0], *[name for name in ("numpy", "torch") if name in sys.modules])
"""


def output(code: str, *arguments: str, **environment: str) -> str:
    """What a Python process prints, without the settings of this one."""
    inherited = {key: value for key, value in os.environ.items() if key not in {*SETTINGS, *REMOVED}}
    command = [sys.executable, "-c", code, *arguments]
    environment = {**inherited, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@needs_avx2
def test_every_library_uses_avx2_whatever_the_user_has_set() -> None:
    torch_uses, openblas, numpy_uses = output(SEEN, **HOSTILE).splitlines()
    assert (torch_uses, openblas, numpy_uses) == ("AVX2", "Haswell", "X86_V3")


@needs_avx2
def test_training_gives_the_same_weights_whatever_the_user_has_set() -> None:
    limited = {output(TRAINING, str(TINY), "limited", **settings) for settings in ({}, HOSTILE)}
    assert len(limited) == 1
    assert output(TRAINING, str(TINY), "free", **HOSTILE) not in limited, "the settings change nothing"


def test_every_verb_limits_instructions_before_it_loads_a_library() -> None:
    """Each library reads its settings when it is loaded, or soon after."""
    stages = [
        ["fetch", "digits"],
        ["prepare", "digits"],
        ["classifier", "digits"],
        ["reference", "digits", "few"],
        ["train", "one-cifar10"],
        ["score", "one-cifar10"],
        ["table", "small"],
        ["cells"],
        ["figure", "any"],
        ["sample", "one-cifar10", "x.png"],
        ["evaluate", "one-cifar10", "--reference", "digits"],
    ]
    assert output(VERBS.format(verbs=stages), str(TINY)).split("\n") == [*(verb for verb, *_ in stages), ""]


def test_nothing_is_set_once_a_library_is_loaded() -> None:
    import torch  # noqa: F401

    before = in_force()
    assert not limit_to_avx2()
    assert in_force() == before


@pytest.mark.parametrize(
    ("flags", "machine", "expected"),
    [
        ("fpu sse2 avx avx2 fma bmi2", "x86_64", True),
        ("fpu sse2 avx avx2 bmi2", "x86_64", False),
        ("fpu sse2 avx", "x86_64", False),
        ("fpu sse2 avx avx2 fma", "aarch64", False),
    ],
)
def test_a_processor_needs_avx2_and_fma(
    flags: str, machine: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    assert has_avx2(tmp_path / "cpuinfo") == expected
    assert not has_avx2(tmp_path / "missing")


def test_a_processor_without_avx2_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruction_set, "has_avx2", lambda: False)
    monkeypatch.setattr(sys, "modules", {"os": os})
    before = dict(os.environ)
    assert not limit_to_avx2()
    assert dict(os.environ) == before
