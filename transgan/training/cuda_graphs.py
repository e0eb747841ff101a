"""CUDA graphs: the kernels of losses and gradients, recorded once per kind of step and then started by one call.

With few images on a GPU, starting the thousands of kernels of a step takes longer than they run. A graph starts them
together. The numbers are the same, because they come from the same kernels: random numbers are drawn outside and copied
to where the graph reads them. Summing over processes, clipping, Adam, the moving averages and the meter stay outside,
too: in a D step of the CIFAR-10 pair 16 of 2,995 operators, which the host starts while the graph runs.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from transgan.schema import RecipeConfig
from transgan.utils import torch_private

logger = logging.getLogger(__name__)

# `auto` uses graphs up to so many pixels in the largest forward pass: 32 images of 32 x 32. By the roofline in
# docs/performance.md a kernel of the CIFAR-10 pair takes 11 µs on an H100 with 64 images in bfloat16, so with 32 about
# as long as the host needs to start it, for which 6 µs are assumed.
MOST_PIXELS = 2**15
CALLS_TO_RECORD = 3  # of one kind of step before it is replayed: see `StepGraphs`
WARM_UPS = 2  # calls before recording, in which libraries choose kernels and allocate their workspaces
# The largest difference of a replay from the step without graphs, relative to the norm of a tensor, plus that share of
# the whole network's norm. The kernels are the same, but some add with several threads in any order.
TOLERANCE = 0.01

Work = Callable[..., Tensor]


class Recorder(Protocol):
    """Records work on tensors. On a GPU: `CudaRecorder`."""

    def warm_up(self, work: Callable[[], Tensor]) -> None:
        """Call `work`, so that it does nothing for the first time while it is recorded."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """Call `work` and record its operators; returns its result and a function that runs them again.

        They read and write the same memory again. A replay may overwrite whatever the work of another record has
        allocated, except what was allocated outside.
        """

    def close(self) -> None:
        """Wait until no replay runs any more. Called before the recorded work is dropped."""


class CudaRecorder:
    """Records CUDA graphs, which share one pool of memory: they never run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        # Warm-up and recording share a stream, because cuBLAS has a workspace for each stream.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm_up(self, work: Callable[[], Tensor]) -> None:
        """Call `work` on the stream that records."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """Record `work` without running its kernels."""
        graph = torch.cuda.CUDAGraph()
        # thread_local: threads that read images ahead, and NCCL's, go on meanwhile with calls that this thread must
        # not make.
        with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
            output = work()
        return output, graph.replay

    def close(self) -> None:
        """Wait for the device, since memory of graphs may be given to other streams."""
        torch.cuda.synchronize(self._device)


@dataclass
class _Graph:
    """One recorded kind of work."""

    inputs: Any  # where it reads its inputs
    output: Tensor
    gradients: list[bool]  # which parameters have one afterwards
    replay: Callable[[], None]
    checked: bool = False


class StepGraphs:
    """The graphs of one training run. Each kind of work takes four stages.

    It runs without a graph the first time, because many kinds come once. The second time it is recorded besides, the
    third time its replay is compared with the work itself, on other inputs than those it was recorded with. From the
    fourth time on it is replayed. If recording fails, or a replay differs, one warning says so, and all work is done
    without graphs from then on. In the first three stages the step's result is always that of the work itself.
    """

    def __init__(self, networks: Sequence[nn.Module], recorder: Callable[[], Recorder]) -> None:
        """`networks`: those whose gradients and buffers (such as running statistics) the work may change."""
        self.replays = 0
        self._parameters = [list(network.parameters()) for network in networks]
        self._all_parameters = [parameter for parameters in self._parameters for parameter in parameters]
        self._buffers = [buffer for network in networks for buffer in network.buffers()]
        self._new_recorder = recorder
        self._recorder: Recorder | None = None
        self._off = False
        self._graphs: dict[Hashable, _Graph | None] = {}  # None: a kind that has come once
        # Where graphs read and write a parameter's gradient, whatever the kind. This memory is allocated outside that
        # of the graphs, since a gradient may stay from one step to the next.
        self._gradients: dict[nn.Parameter, Tensor] = {}

    def clear(self) -> None:
        """Forget all graphs. Necessary when tensors that the work uses have been replaced."""
        if self._recorder is not None:
            self._recorder.close()
        self._recorder = None
        self._graphs.clear()
        self._gradients.clear()

    def run(self, kind: Hashable, work: Work, inputs: tuple[Any, ...]) -> Tensor:
        """`work(*inputs)`: losses on given images and random numbers, whose gradients it adds to the parameters'.

        `inputs` are tensors, dataclasses of tensors, and None. Calls of one `kind` differ in the tensors' values only,
        or in which gradients exist before. Apart from gradients, the work changes nothing but buffers of the networks.
        The result is valid until the next call.
        """
        if self._off:
            return work(*inputs)
        exist = tuple(parameter.grad is not None for parameter in self._all_parameters)
        key = (kind, exist, tuple((tensor.shape, tensor.dtype) for tensor in _tensors(inputs)))
        if key not in self._graphs:
            return self._first(key, work, inputs)
        graph = self._graphs[key]
        if graph is not None and graph.checked:
            self.replays += 1
            return self._replay(graph, inputs)
        return self._prepare(key, work, inputs)

    def _first(self, key: Hashable, work: Work, inputs: tuple[Any, ...]) -> Tensor:
        """The work of a new kind."""
        before = self._random_state()
        output = work(*inputs)
        self._graphs[key] = None
        if not torch.equal(before, self._random_state()):
            self._give_up("a step draws random numbers of its own")
        return output

    def _prepare(self, key: Hashable, work: Work, inputs: tuple[Any, ...]) -> Tensor:
        """The work itself; before, it is recorded, or if it has been, replayed for a comparison.

        Neither leaves a trace. Warming up and recording begin with the gradients that exist and add to them; both those
        and the networks' buffers are copied before and put back afterwards. Parameters are not touched.
        """
        graph = self._graphs[key]
        gradients = [None if p.grad is None else p.grad.clone() for p in self._all_parameters]
        buffers = [buffer.clone() for buffer in self._buffers]
        replayed: tuple[Tensor, list[Tensor]] | None = None
        try:
            if graph is None:
                self._graphs[key] = self._record(work, inputs)
            else:
                replayed = self._replay(graph, inputs), [buffer.clone() for buffer in self._buffers]
        except Exception as error:  # whatever a driver, an allocator or a kernel that cannot be recorded raises
            self._give_up(f"recording failed ({type(error).__name__}: {next(iter(str(error).splitlines()), '')[:200]})")
        for parameter, gradient in zip(self._all_parameters, gradients, strict=True):
            parameter.grad = gradient
        for buffer, value in zip(self._buffers, buffers, strict=True):
            buffer.copy_(value)
        output = work(*inputs)
        if graph is not None and replayed is not None:
            graph.checked = self._agrees(graph, replayed, output)
            if not graph.checked:
                self._give_up("a replay gave other numbers than the step without graphs")
        return output

    def _record(self, work: Work, inputs: tuple[Any, ...]) -> _Graph:
        copies = _map(_copy, inputs)
        given = {parameter for parameter in self._all_parameters if parameter.grad is not None}
        self._to_fixed_places(given)

        def once() -> Tensor:
            for parameter in self._all_parameters:
                parameter.grad = self._gradients[parameter] if parameter in given else None
            return work(*copies)

        self._recorder = self._recorder or self._new_recorder()
        self._recorder.warm_up(once)
        exist = [parameter.grad is not None for parameter in self._all_parameters]
        new = [p for p, there in zip(self._all_parameters, exist, strict=True) if there and p not in given]
        for parameter in new:
            if parameter not in self._gradients:
                self._gradients[parameter] = torch.empty_like(parameter)

        def keep() -> None:
            if new:
                torch_private.copy_([self._gradients[p] for p in new], [p.grad for p in new if p.grad is not None])

        def recorded() -> Tensor:
            output = once()
            keep()
            return output

        keep()  # like all that is recorded, once before: a kernel cannot be loaded while a graph is recorded
        output, replay = self._recorder.record(recorded)
        return _Graph(copies, output, exist, replay)

    def _replay(self, graph: _Graph, inputs: tuple[Any, ...]) -> Tensor:
        torch_private.copy_(list(_tensors(graph.inputs)), list(_tensors(inputs)))
        self._to_fixed_places(parameter for parameter in self._all_parameters if parameter.grad is not None)
        graph.replay()
        for parameter, exists in zip(self._all_parameters, graph.gradients, strict=True):
            parameter.grad = self._gradients[parameter] if exists else None
        return graph.output

    def _to_fixed_places(self, parameters: Iterable[nn.Parameter]) -> None:
        """Move gradients to where graphs read them; they are there already unless a step without a graph made them."""
        for parameter in parameters:
            gradient = parameter.grad
            assert gradient is not None
            place = self._gradients.setdefault(parameter, gradient)
            if place is not gradient:
                place.copy_(gradient)
                parameter.grad = place

    def _agrees(self, graph: _Graph, replayed: tuple[Tensor, list[Tensor]], output: Tensor) -> bool:
        """Whether a replay gave what the work itself has given since. The host waits for the device."""
        if graph.gradients != [parameter.grad is not None for parameter in self._all_parameters]:
            return False
        pairs = [(list(replayed[0].unbind()), list(output.unbind())), (replayed[1], self._buffers)]
        for parameters in self._parameters:
            found = [parameter for parameter in parameters if parameter.grad is not None]
            pairs.append(([self._gradients[p] for p in found], [p.grad for p in found if p.grad is not None]))
        return all(_relative_difference(*pair) <= TOLERANCE for pair in pairs)

    def _give_up(self, reason: str) -> None:
        self._off = True
        self.clear()
        logger.warning(f"CUDA graphs: {reason}; training goes on without them, which takes longer")

    def _random_state(self) -> Tensor:
        device = self._all_parameters[0].device
        return torch.get_rng_state() if device.type == "cpu" else torch.cuda.get_rng_state(device)


def step_graphs(
    setting: bool | Literal["auto"], recipe: RecipeConfig, networks: Sequence[nn.Module], resolution: int, devices: int
) -> StepGraphs | None:
    """The graphs of a run, as `execution.cuda_graphs` says; None where there are to be none.

    On a GPU only. `auto`: where forward passes are small. `devices` is the number of processes that share a batch.
    """
    device = next(networks[0].parameters()).device
    share = max(recipe.batch, recipe.generator_batch) // devices
    images = min(share, recipe.micro_batch or share)
    wanted = images * resolution**2 <= MOST_PIXELS if setting == "auto" else setting
    if device.type != "cuda" or not wanted:
        return None
    return StepGraphs(networks, lambda: CudaRecorder(device))


def _relative_difference(replayed: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest norm of a difference, relative to the tensor's norm plus a share of that of all tensors together."""
    if not expected:
        return 0.0
    sizes = torch.stack([torch.linalg.vector_norm(tensor.float()) for tensor in expected])
    errors = torch.stack(
        [
            torch.linalg.vector_norm(mine.float() - theirs.float())
            for mine, theirs in zip(replayed, expected, strict=True)
        ]
    )
    limits = sizes + TOLERANCE * torch.linalg.vector_norm(sizes)
    return float((errors / limits.clamp(min=torch.finfo(torch.float32).tiny)).max())


def _tensors(inputs: Any) -> Iterator[Tensor]:
    """The tensors in inputs as `StepGraphs.run` takes them, in order."""
    if isinstance(inputs, Tensor):
        yield inputs
    elif is_dataclass(inputs):
        for field in fields(inputs):
            yield from _tensors(getattr(inputs, field.name))
    elif inputs is not None:
        for part in inputs:
            yield from _tensors(part)


def _copy(tensor: Tensor) -> Tensor:
    """A copy with the same strides, so that kernels are chosen alike and compiled code is not compiled again."""
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def _map(function: Callable[[Tensor], Tensor], inputs: Any) -> Any:
    """The same structure with `function` of every tensor."""
    if isinstance(inputs, Tensor):
        return function(inputs)
    if is_dataclass(inputs) and not isinstance(inputs, type):
        parts = {field.name: _map(function, getattr(inputs, field.name)) for field in fields(inputs)}
        return type(inputs)(**parts)
    return None if inputs is None else tuple(_map(function, part) for part in inputs)
