"""What the rules take from Snakemake beyond its documented interfaces, asked of a real workflow of this release."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snakemake import __version__
from snakemake.api import ConfigSettings, OutputSettings, ResourceSettings, SnakemakeApi
from snakemake.settings.types import Quietness

from transgan.pipeline import snakemake_internals as internals

RELEASE = f"tested with Snakemake {internals.TESTED}, this is {__version__}"


@pytest.fixture
def workflow(tmp_path: Path) -> Iterator[Any]:
    """Snakemake's object of the same name, as a Snakefile sees it."""
    params = tmp_path / "params.yaml"
    params.write_text("scale: tiny\n")
    (tmp_path / "Snakefile").write_text("")
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        made = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[params]),
            snakefile=tmp_path / "Snakefile",
            workdir=tmp_path,
        )
        yield made._workflow


def test_the_params_file_and_the_main_process(workflow: Any, tmp_path: Path) -> None:
    assert internals.named_params_file(workflow) == tmp_path / "params.yaml", RELEASE
    assert internals.is_main_process(workflow), RELEASE


def test_as_many_gpu_jobs_as_gpus(workflow: Any) -> None:
    assert internals.limit_gpu_jobs(workflow, 2) == 2, RELEASE
    assert workflow.global_resources["gpu"].value == 2, RELEASE


def test_without_a_gpu_a_rule_that_asks_for_none_still_runs(workflow: Any) -> None:
    assert internals.limit_gpu_jobs(workflow, 0) == 0
    assert workflow.global_resources["gpu"].value == 1, RELEASE


def test_the_command_line_sets_the_limit(workflow: Any) -> None:
    from snakemake.resources import Resource

    workflow.global_resources["gpu"] = Resource("gpu", 8)
    assert internals.limit_gpu_jobs(workflow, 0) == 8, RELEASE


def test_a_number_for_all_jobs(workflow: Any) -> None:
    from snakemake.resources import Resource

    assert internals.global_resource(workflow, "max_runtime") is None, RELEASE
    workflow.global_resources["max_runtime"] = Resource("max_runtime", 90)
    assert internals.global_resource(workflow, "max_runtime") == 90, RELEASE


def test_without_options_no_containers_and_one_file_system(workflow: Any) -> None:
    """The options are tested in tests/workflow: test_apptainer.py and test_no_shared_files.py."""
    assert not internals.uses_containers(workflow), RELEASE
    assert internals.shares_files(workflow), RELEASE
