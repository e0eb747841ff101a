"""An executor for tests: each job runs in an empty folder, as in a pod of Kubernetes, with state/ as a mounted volume.

Its common settings are those of snakemake-executor-plugin-kubernetes, without the installation of packages.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    volume: str = field(default="", metadata={"help": "The folder that is state/ in every pod."})


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    job_deploy_sources=True,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
)


class Executor(RemoteExecutor):
    def __post_init__(self) -> None:
        self.pods: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

    def run_job(self, job: JobExecutorInterface) -> None:
        pod = Path(tempfile.mkdtemp(prefix="pod-"))
        (pod / "state").symlink_to(self.workflow.executor_settings.volume)
        with (pod / "log").open("w") as log:
            command = ["/bin/sh", "-c", self.format_job_exec(job)]
            process = subprocess.Popen(command, cwd=pod, stdout=log, stderr=log, start_new_session=True)
        self.pods[str(process.pid)] = process, pod
        self.report_job_submission(SubmittedJobInfo(job=job, external_jobid=str(process.pid)))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        for info in active_jobs:
            process, pod = self.pods[info.external_jobid]
            code = process.poll()
            if code is None:
                yield info
                continue
            if code:
                print((pod / "log").read_text())
                self.report_job_error(info)
            else:
                self.report_job_success(info)
            shutil.rmtree(pod)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        for info in active_jobs:
            os.killpg(int(info.external_jobid), signal.SIGTERM)
