"""Records work on a CPU as a CUDA graph does on a GPU: operators run again on the same memory, Python code does not."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

# Operator, arguments, and where its results are.
Operator = tuple[Any, Any, Any, list[Tensor]]


class OperatorRecorder:
    """A `Recorder` whose replays first fill what other records have allocated with garbage.

    A pool that graphs share does so: the memory of one may be that of another.
    """

    def __init__(self) -> None:
        self.records: list[_Operators] = []
        self.warm_ups = self.replays = 0
        self.closed = False

    def warm_up(self, work: Callable[[], Tensor]) -> None:
        """Call `work` twice."""
        for _ in range(2):
            work()
            self.warm_ups += 1

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """Call `work` and note its operators. Then spoil all results: a graph has none before its first replay."""
        operators = _Operators()
        with operators:
            output = work()
        self.records.append(operators)
        operators.spoil()

        def replay() -> None:
            assert not self.closed
            self.replays += 1
            for other in self.records:
                if other is not operators:
                    other.spoil()
            operators.run()

        return output, replay

    def close(self) -> None:
        """No replay may follow."""
        self.closed = True


class _Operators(TorchDispatchMode):
    """The operators that run inside the context, with the memory that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self._operators: list[Operator] = []
        self._own: dict[int, Tensor] = {}  # by storage: memory allocated inside
        self._outside: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for tensor in _tensors((args, kwargs)):
            if _storage(tensor) not in self._own:
                self._outside.add(_storage(tensor))
        result = func(*args, **kwargs)
        results = [tensor.detach() for tensor in _tensors(result)]
        for tensor in results:
            if _storage(tensor) not in self._outside:
                self._own.setdefault(_storage(tensor), tensor)
        args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.detach(), (args, kwargs))
        self._operators.append((func, args, kwargs, results))
        return result

    def run(self) -> None:
        """Run the operators again. What they return goes where they returned it before."""
        with torch.no_grad():
            for func, args, kwargs, before in self._operators:
                for old, new in zip(before, _tensors(func(*args, **kwargs)), strict=True):
                    if _storage(old) != _storage(new):
                        old.copy_(new)

    def spoil(self) -> None:
        """Fill all memory that was allocated inside with ones of every bit: NaN, or -1."""
        for tensor in self._own.values():
            tensor.untyped_storage().fill_(255)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
