"""Private interfaces of PyTorch do what this project uses them for."""

import sys

import torch
from torch import Tensor, nn

from transgan.utils import torch_private

RELEASE = f"tested with PyTorch {torch_private.TESTED}, this is {torch.__version__}"


def test_copy_and_lerp_of_lists() -> None:
    targets, sources = [torch.zeros(3), torch.zeros(2, 2)], [torch.ones(3), torch.full((2, 2), 4.0)]
    torch_private.lerp_(targets, sources, 0.25)
    assert [target.flatten()[0].item() for target in targets] == [0.25, 1.0], RELEASE
    torch_private.copy_(targets, sources)
    assert all(map(torch.equal, targets, sources)), RELEASE


def test_the_lists_may_be_parameters() -> None:
    ends = list(nn.Linear(3, 2).parameters())
    parameters = list(nn.Linear(3, 2).parameters())
    with torch.no_grad():
        torch_private.lerp_(parameters, ends, 1.0)
    assert all(torch.allclose(a, b) for a, b in zip(parameters, ends, strict=True)), RELEASE


def test_a_dispatch_mode_sees_every_operator_of_tensors_without_memory() -> None:
    seen: list[str] = []

    class Recorder(torch_private.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    with torch_private.FakeTensorMode(allow_non_fake_inputs=True), Recorder():
        product = torch.empty(10**6, 10**6) @ torch.empty(10**6, 1)
    assert product.shape == (10**6, 1), RELEASE
    assert any("mm" in name or "mv" in name for name in seen), RELEASE


def test_leaves_of_a_tree() -> None:
    leaves = torch_private.tree_leaves({"a": [torch.ones(1), (torch.zeros(2), 3)]})
    assert [type(leaf) for leaf in leaves] == [Tensor, Tensor, int], RELEASE


def test_the_compiler_can_be_loaded_beforehand() -> None:
    torch_private.load_dynamo()
    assert "torch._dynamo" in sys.modules, RELEASE
