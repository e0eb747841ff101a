"""The profiles for Kubernetes and AWS Batch: options that exist, and values that their plugins take.

No test runs them. tests/workflow/test_no_shared_files.py runs the same rules without a shared file system.
"""

import importlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import get_argument_parser

from ..conftest import ROOT

PROFILES = ROOT / "workflow/profiles"
# The settings of snakemake-executor-plugin-kubernetes 0.5.1 and snakemake-executor-plugin-aws-batch 0.2.1. The plugins
# need the clients of both services, so they are not among this project's packages.
SETTINGS = {
    "kubernetes": {
        "namespace",
        "cpu_scalar",
        "service_account_name",
        "privileged",
        "persistent_volumes",
        "omit_job_cleanup",
    },
    "aws-batch": {"region", "job_queue", "job_role", "tags", "task_timeout"},
}
EXECUTORS = sorted(SETTINGS)


def profile(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PROFILES / name / "profile.yaml").read_text())
    return content


@pytest.mark.parametrize("executor", EXECUTORS)
def test_every_option_is_one_of_snakemakes_or_of_the_plugin(executor: str) -> None:
    known = {word for action in get_argument_parser()._actions for word in action.option_strings}
    own = {f"--{executor}-{setting.replace('_', '-')}" for setting in SETTINGS[executor]}
    assert {f"--{key}" for key in profile(executor)} <= known | own
    assert profile(executor)["executor"] == executor


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_recorded_settings_are_those_of_the_plugin(executor: str) -> None:
    plugin = pytest.importorskip(f"snakemake_executor_plugin_{executor.replace('-', '_')}")
    assert {field.name for field in fields(plugin.ExecutorSettings)} == SETTINGS[executor]
    assert plugin.common_settings.implies_no_shared_fs
    required = {field.name for field in fields(plugin.ExecutorSettings) if field.metadata.get("required")}
    assert {f"{executor}-{name.replace('_', '-')}" for name in required} <= set(profile(executor))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_local_copies_of_the_bucket_are_where_stages_work(executor: str) -> None:
    content = profile(executor)
    provider, bucket = content["default-storage-prefix"].split("://")
    assert content["default-storage-provider"] == provider
    assert content["precommand"].endswith(f'ln -sfn "$(pwd)" .snakemake/storage/{provider}/{bucket}')
    assert content["shared-fs-usage"] == "none"
    assert set(content["rerun-triggers"]) == {"mtime", "input", "params"}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_other_settings_are_those_of_the_default_profile(executor: str) -> None:
    default, content = profile("default"), profile(executor)
    for key in ("rerun-incomplete", "keep-going", "printshellcmds"):
        assert content[key] == default[key]
    assert set(default["rerun-triggers"]) <= set(content["rerun-triggers"])


def test_volumes_are_as_the_kubernetes_plugin_reads_them() -> None:
    plugin = pytest.importorskip("snakemake_executor_plugin_kubernetes")
    (volume,) = plugin.parse_persistent_volumes(profile("kubernetes")["kubernetes-persistent-volumes"])
    assert volume.path == Path("/workdir/state")


def test_kubernetes_gives_gpus_to_those_with_a_limit() -> None:
    defaults = dict(entry.split("=") for entry in profile("kubernetes")["default-resources"])
    assert defaults["scale"] == "0"
    assert defaults["gpu_manufacturer"] == '"nvidia"'


def test_memory_and_processors_are_pairs_that_the_aws_plugin_takes() -> None:
    pytest.importorskip("snakemake_executor_plugin_aws_batch")
    pairs = importlib.import_module("snakemake_executor_plugin_aws_batch.constant").VALID_RESOURCES_MAPPING
    content = profile("aws-batch")
    (default,) = content["default-resources"]
    assert 1 in pairs[int(default.removeprefix("mem_mb="))]
    for rule, asked in content["set-resources"].items():
        assert content["set-threads"][rule] in pairs[asked["mem_mb"]], rule
