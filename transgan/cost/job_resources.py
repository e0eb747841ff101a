"""What the job of a stage asks of a cluster: memory, minutes, CPUs, nodes. The Snakefile hands it to the executor.

Minutes of training come from `transgan rehearse` where it has measured the run, on whatever device, else from the
counted operations at the rate assumed for one device. They need not be exact: a run that reaches its limit saves and
goes on in another job. Memory is that of the machine; whether a run fits a GPU is what a rehearsal tells.
"""

import math
from dataclasses import dataclass

from transgan.config.plan import Plan, Run
from transgan.config.reference_key import ReferenceKey
from transgan.cost import counts, rehearsal_file
from transgan.cost.budget import assumed_rate
from transgan.pipeline.stages import Stage
from transgan.schema import ProtocolConfig
from transgan.utils.units import GIB

ASSUMED_DEVICE = "A100"
ASSUMED_CPU_FLOPS = 5e9  # of one thread; a CPU with AVX2 reaches several times that
# The share by which a limit exceeds the expected time.
MEASURED_MARGIN, ASSUMED_MARGIN = 1.5, 3.0
# A start with cold libraries on a busy file system, compilation, snapshots and the last checkpoint.
STARTING_MINUTES = 15
SHORTEST_MINUTES = 30
# Without a time of its own: what is short anyway, and what depends on a download or on the images.
USUAL_MINUTES = {"prepare": 480, "classifier": 60, "reference": 240, "score": 240, "figure": 60}
MAX_MINUTES = 24 * 60  # without another limit of the cluster's

MIB_PER_GIB = 1024
PROCESS_GIB = 4.0  # Python, PyTorch and, on a GPU, the CUDA libraries and their page-locked buffers
PACKING_GIB = 1.0  # one process that decodes and resizes images
CHECKPOINT_BYTES = 16  # for each parameter: weights, average, two moments of Adam; twice while it is written
FEATURE_BYTES = 8
FEATURE_COPIES = 4  # features in float32 and float64, and products of them


@dataclass(frozen=True)
class Nodes:
    """How the devices of a run are spread: `tasks` processes, the same number on each of `nodes`."""

    nodes: int
    tasks: int

    def launcher(self, cpus_per_task: int) -> str:
        """The command that starts a process for each task inside the job; ends all if one fails."""
        return (
            f"srun --nodes={self.nodes} --ntasks={self.tasks} --ntasks-per-node={self.tasks // self.nodes} "
            f"--cpus-per-task={cpus_per_task} --kill-on-bad-exit=1 "
        )


def minutes(plan: Plan, stage: Stage, attempt: int = 1, longest: int | None = None) -> int:
    """The time limit of a stage's job: at most `longest` minutes, the cluster's limit.

    Training goes on where it stopped, so every attempt has the same limit. Other stages begin again and get more.
    """
    longest = longest or MAX_MINUTES
    if stage.verb != "train":
        return min(USUAL_MINUTES.get(stage.verb, SHORTEST_MINUTES) * attempt, longest)
    hours = training_hours(plan, plan.run(stage.name))
    if hours is None:
        return longest
    return min(max(math.ceil(hours * 60) + STARTING_MINUTES, SHORTEST_MINUTES), longest)


def training_hours(plan: Plan, run: Run) -> float | None:
    """Hours of training a run on its devices, with a margin; None if neither measured nor counted.

    A run that was rehearsed on several kinds of devices is expected on the slowest.
    """
    measured = [
        rehearsal.seconds_per_image
        for rehearsal in (rehearsal_file.read(plan, run, device) for device in rehearsal_file.devices(plan))
        if rehearsal is not None and rehearsal.seconds_per_image is not None
    ]
    if measured:
        return MEASURED_MARGIN * max(measured) * run.recipe.images / 3600 / run.recipe.devices
    count = counts.stored_counts().get(counts.key(run))
    if count is None:
        return None
    eflop = count["gflop_per_image"] * run.recipe.images / 1e9
    if plan.device == "cpu":
        hours: float | None = eflop * 1e18 / ASSUMED_CPU_FLOPS / run.recipe.threads / 3600
    else:
        hours = assumed_rate(ASSUMED_DEVICE).hours(run, eflop)
    return None if hours is None else ASSUMED_MARGIN * hours / run.recipe.devices


def memory_mib(plan: Plan, stage: Stage, gpu: bool) -> int:
    """Memory of the machine that a stage's job needs, in MiB; `gpu`: it computes on one."""
    return math.ceil(_memory_gib(plan, stage, gpu) * MIB_PER_GIB)


def _memory_gib(plan: Plan, stage: Stage, gpu: bool) -> float:
    match stage.verb:
        case "train":
            run = plan.run(stage.name)
            return run.recipe.devices * PROCESS_GIB + _training_gib(run, gpu)
        case "score":
            return PROCESS_GIB + _features_gib(plan.run(stage.name).protocol)
        case "reference" if isinstance(stage.subject, ReferenceKey):
            return PROCESS_GIB + _features_gib(plan.protocol(stage.subject.protocol))
        case "prepare":
            return PROCESS_GIB + PACKING_GIB * stage.threads
    return PROCESS_GIB


def _training_gib(run: Run, gpu: bool) -> float:
    """On a GPU the main process alone holds the checkpoint that it writes; on a CPU each holds its networks."""
    count = counts.stored_counts().get(counts.key(run))
    if count is None:
        return 0.0
    parameters = count["generator_parameters"] + count["discriminator_parameters"]
    checkpoint: float = 2.0 * CHECKPOINT_BYTES * parameters / GIB
    return checkpoint if gpu else checkpoint + float(count["memory_gib"]) * run.recipe.devices


def _features_gib(protocol: ProtocolConfig) -> float:
    """Features of the samples and of the reference, whose number is about the same or smaller."""
    width = int(protocol.feature_layer) if protocol.feature_layer.isdigit() else 4096  # the widest layer of VGG-16
    images = max(protocol.samples, protocol.reference_samples or 0)
    return FEATURE_COPIES * FEATURE_BYTES * width * images / GIB


def cpus(stage: Stage, gpu: bool, devices_per_node: int | None = None) -> int:
    """CPUs of each task of a stage's job, which has one task, or one per process if it runs on several nodes.

    These are its threads, and with a GPU one more for each process: the thread that reads images ahead.
    """
    count = stage.threads + (stage.devices if gpu else 0)
    return count // stage.devices if nodes(stage, devices_per_node) else count


def nodes(stage: Stage, devices_per_node: int | None) -> Nodes | None:
    """How a run's devices are spread over nodes with `devices_per_node` each; None if they fit on one node.

    The devices must divide among the nodes; with an awkward number, each node gets fewer than it has.
    """
    if devices_per_node is None or stage.verb != "train" or stage.devices <= devices_per_node:
        return None
    per_node = next(count for count in range(devices_per_node, 0, -1) if stage.devices % count == 0)
    return Nodes(stage.devices // per_node, stage.devices)
