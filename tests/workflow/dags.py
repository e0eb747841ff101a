"""Both front-ends' stages, read without running them, in one form."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seen:
    """A stage as a front-end sees it."""

    command: str
    inputs: frozenset[str]
    outputs: frozenset[str]


def snakemake_stages(root: Path, scale: str, target: str = "reproduce_tables") -> dict[frozenset[str], Seen]:
    """Jobs behind a target, by default every table and figure, by their outputs. Private calls of Snakemake 9.27."""
    from snakemake.api import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings, SnakemakeApi
    from snakemake.settings.types import Quietness

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=2),
            config_settings=ConfigSettings(config={"scale": scale}),
            snakefile=root / "workflow" / "Snakefile",
            workdir=root,
        )
        workflow.dag(DAGSettings(forceall=True, targets={target}))
        inner = workflow._workflow
        inner._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
        inner._build_dag()
        return {frozenset(map(str, job.output)): _seen(job) for job in inner.dag.jobs if job.output}


def _seen(job: object) -> Seen:
    return Seen(
        command=job.shellcmd.split(" 2>&1")[0].strip().removesuffix(" --again"),  # forceall adds it
        inputs=frozenset(str(path) for path in job.input if not str(path).startswith("state/")),
        outputs=frozenset(map(str, job.output)),
    )


def dvc_stages(root: Path) -> dict[frozenset[str], Seen]:
    """Stages of dvc.yaml, by their outputs."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        found = {}
        for stage in repo.index.stages:
            outputs = frozenset(str(Path(out.fs_path).relative_to(root)) for out in stage.outs)
            inputs = frozenset(str(Path(dep.fs_path).relative_to(root)) for dep in stage.deps)
            found[outputs] = Seen(stage.cmd, inputs, outputs)
        return found
