# What all rules need: the plan, the stage graph, and the config files that make a changed fingerprint visible.
#
# A result is up to date if it carries the plan's fingerprint. File times do not decide, because DVC, git and copying
# change them. If a result is up to date, its inputs from other rules are marked `ancient`. If it is not, the stage's
# config file is touched, so that it is newer than the outputs and the stage runs again.
import os
import shlex

from snakemake.logging import logger

from transgan.config import plan as plans
from transgan.config.attention_forms import same_but_for_attention, seam_runs
from transgan.cost import job_resources
from transgan.pipeline.snakemake_forced import Forced
from transgan.pipeline.snakemake_inputs import (
    check_overrides,
    config_files,
    gpu_count,
)
from transgan.pipeline.slurm_jobs import EXIT_CODES
from transgan.pipeline.snakemake_internals import (
    global_resource,
    is_main_process,
    limit_gpu_jobs,
    shares_files,
    uses_containers,
)
from transgan.pipeline.snakemake_lock import remove_stale_lock

try:
    PLAN = plans.load(PARAMS, config.get("scale"))
    check_overrides(config, CONTENT, PLAN.file)
    GRAPH, CONFIGS, SETTLED = config_files(PLAN)
except UserError as error:
    raise WorkflowError(mask(str(error)))

if is_main_process(workflow) and remove_stale_lock():
    logger.warning("Removed the lock of a Snakemake that was killed.")


# The `transgan` script next to the Python that runs Snakemake, so that the environment need not be activated, or that of
# the container; this checkout's code, which Snakemake runs, too; and `keep LOG`, a `tee` that ignores signals, so that
# the log contains the last messages of an interrupted stage. A prefix replaces Snakemake's own, which is `set -euo
# pipefail`: without that, the exit code would be that of `keep`. In a Slurm job, the shell waits for its stage after a
# signal, and writes the exit code down for transgan/pipeline/slurm_jobs.py.
def in_prefix(path):
    """A path for the shell, in a text that Snakemake formats."""
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


IN_CONTAINER = uses_containers(workflow)
if IN_CONTAINER and "://" not in CONTAINER and not Path(CONTAINER).is_file():
    raise WorkflowError(
        f"{CONTAINER}: not there; `apptainer build --fakeroot {CONTAINER} containers/transgan.def` builds it "
        "(docs/containers.md)"
    )
TOOLS = in_prefix(Path(sys.executable).parent)
CODE = in_prefix(Path(workflow.basedir).parent)
shell.prefix(
    "set -euo pipefail; "
    + ("" if IN_CONTAINER else f'export PATH={TOOLS}:"$PATH"; ')
    + f'export PYTHONPATH={CODE}"${{{{PYTHONPATH:+:$PYTHONPATH}}}}"; '
    "keep() {{ trap '' INT TERM; exec tee \"$1\"; }}; "
    'if [ -n "${{SLURM_JOB_ID:-}}" ]; then '
    f'mkdir -p {EXIT_CODES}; trap : TERM; trap "echo \\$? >> {EXIT_CODES}/$SLURM_JOB_ID" EXIT; '
    "fi; "
)

# Without a shared file system (Kubernetes, batch services), the profile says `shared-fs-usage: none`.
SHARED = shares_files(workflow)

GPUS = limit_gpu_jobs(workflow, gpu_count(PLAN)) if PLAN.device != "cpu" else 0


def of_the_cluster(name):
    """A number from `resources:` of a cluster's profile, or None. Jobs get it through the environment."""
    variable = f"TRANSGAN_{name.upper()}"
    number = global_resource(workflow, name)
    if number is not None:
        os.environ[variable] = str(number)
    return int(os.environ[variable]) if variable in os.environ else None


MAX_RUNTIME = of_the_cluster("max_runtime")
DEVICES_PER_NODE = of_the_cluster("devices_per_node")

TABLES_AND_FIGURES = [
    path
    for stage in GRAPH.values()
    if stage.verb in ("table", "cells", "figure")
    for path in stage.outputs
]

RESULTS, LOGS = f"results/{PLAN.scale_name}", f"logs/{PLAN.scale_name}"
# Rules take it from a function, because Snakemake looks for wildcards in a text: a file's name may have braces.
OPTIONS = f"--scale {PLAN.scale_name}" + (
    ""
    if PLAN.file == Path("params.yaml")
    else f" --params {shlex.quote(str(PLAN.file))}"
)

LONGEST_RUN = max(
    PLAN.scheduled_runs, key=lambda run: PLAN.run(run).recipe.images, default="none"
)


wildcard_constraints:
    dataset="|".join(PLAN.datasets) or "none",
    protocol="|".join(PLAN.protocols) or "none",
    classifier="|".join(PLAN.classifiers) or "none",
    run="|".join(PLAN.scheduled_runs) or "none",
    table="|".join(PLAN.params.tables) or "none",
    figure="|".join(PLAN.params.figures) or "none",


# -R, -F and -f: what they name is computed again, and what follows from it.
FORCED = Forced(workflow, GRAPH)


def inputs_of(verb, name):
    """A stage's inputs, `ancient` if the stage is settled and they stay: Snakemake does not update ancient inputs."""
    key = f"{verb}@{name}"
    if key not in SETTLED or key in FORCED.keys:
        return GRAPH[key].inputs
    renewed = [path for path in GRAPH[key].inputs if FORCED.renews(str(path))]
    return renewed + [ancient(path) for path in SETTLED[key] if path not in renewed]


def options_of(verb, name):
    """Options of a stage's command, with `--again` if it is forced."""
    return f"{OPTIONS} {FORCED.options(f'{verb}@{name}')}".rstrip()


def config_of(verb, name):
    """A stage's config file, which is newer than its outputs only if they belong to another fingerprint.

    Where nodes share no file system, none: every input would then come from a remote storage.
    """
    return CONFIGS[f"{verb}@{name}"] if SHARED else []


def fingerprint_of(verb, name):
    """What the config file tells Snakemake, for `rerun-triggers: [params]` where there is no shared file system."""
    return GRAPH[f"{verb}@{name}"].fingerprint


def gpus(verb, name):
    """Number of GPUs that a stage requests: 0 on a machine without any."""
    return GRAPH[f"{verb}@{name}"].devices if GPUS else 0


def asks(verb, name):
    """What a cluster needs to know about the jobs of a rule; `name` maps wildcards to the stage's name."""

    def stage(wildcards):
        return GRAPH[f"{verb}@{name(wildcards)}"]

    def gpu(wildcards):
        return gpus(verb, name(wildcards))

    return {
        "gpu": gpu,
        "mem_mb": lambda w: job_resources.memory_mib(PLAN, stage(w), gpu(w) > 0),
        "runtime": lambda w, attempt: job_resources.minutes(
            PLAN, stage(w), attempt, MAX_RUNTIME
        ),
        "cpus_per_task": lambda w: job_resources.cpus(
            stage(w), gpu(w) > 0, DEVICES_PER_NODE
        ),
    }


def spread(run):
    """How a run's processes are spread over nodes; None on one node."""
    return job_resources.nodes(GRAPH[f"train@{run}"], DEVICES_PER_NODE)


def if_spread(value):
    """A resource that only the jobs on several nodes have: `value` of their Nodes."""
    return lambda w: value(spread(w.run)) if spread(w.run) else None
