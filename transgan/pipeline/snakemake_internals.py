"""What this project uses of Snakemake beyond its documented interfaces. Tested with the release named in `TESTED`.

The rules and the Snakefile call these functions with Snakemake's object `workflow`. tests/workflow/dags.py has the
private calls of the tests.
"""

from pathlib import Path
from typing import Any

TESTED = "9.27"

LOCKS = Path(".snakemake/locks")  # a file for each set of paths that a Snakemake works on; they name no process


def named_params_file(workflow: Any) -> Path | None:
    """The file of `--configfile`, if the command line has one."""
    return next(map(Path, workflow.overwrite_configfiles or ()), None)


def module_config(workflow: Any, config: dict[str, Any]) -> dict[str, Any] | None:
    """`config:` of the `module` statement that includes this workflow; None without one."""
    return config if workflow.modifier.skip_configfile else None


def changes_paths(workflow: Any) -> bool:
    """Whether a `module` statement includes this workflow with `prefix:` or `replace_prefix:`."""
    modifier = workflow.modifier.path_modifier
    return bool(modifier.prefix or modifier._prefix_replacements)


def is_main_process(workflow: Any) -> bool:
    """Whether this is the Snakemake that a user has started, and not one that it has started for a job."""
    return bool(workflow.is_main_process)


def forced_names(workflow: Any) -> tuple[bool, set[str]]:
    """Whether `--forceall` was given, and the rules and files of `--forcerun` and of `--force`.

    Snakemake sets this after it has read the rules: call it in functions of inputs and params only.
    """
    settings = workflow.dag_settings
    if settings is None:  # --lint, --list
        return False, set()
    targets = settings.targets if settings.forcetargets else ()
    return bool(settings.forceall), {*map(str, settings.forcerun), *map(str, targets)}


def limit_gpu_jobs(workflow: Any, here: int) -> int:
    """Let as many GPU jobs run at once as this machine has GPUs, `here`, unless `--resources gpu=N` says otherwise.

    Returns the number that counts. N is not checked: a cluster's GPUs are not on the node that submits the jobs. The
    Snakemake inside of a job is not limited: a run on several nodes has more GPUs than it sees.
    """
    from snakemake.resources import Resource

    limit = global_resource(workflow, "gpu")
    if limit is not None:
        return limit
    if is_main_process(workflow):
        workflow.global_resources["gpu"] = Resource("gpu", max(here, 1))
    return here


def global_resource(workflow: Any, name: str) -> int | None:
    """The number that `--resources` or a profile gives for all jobs together; None without one."""
    return int(workflow.global_resources[name].value) if name in workflow.global_resources else None


def uses_containers(workflow: Any) -> bool:
    """Whether the rules run in containers, by `--sdm apptainer`."""
    from snakemake.settings.types import DeploymentMethod

    return bool(DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method)


def shares_files(workflow: Any) -> bool:
    """Whether all jobs see the same input and output files; not so with `--shared-fs-usage none`."""
    from snakemake.settings.types import SharedFSUsage

    return bool(SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage)
