"""Snakemake finds executor plugins by the name of a top-level module: this one is `executor: transgan-slurm`."""

from snakemake_executor_plugin_slurm import ExecutorSettings, common_settings

from transgan.pipeline.slurm_executor import Executor

__all__ = ["Executor", "ExecutorSettings", "common_settings"]
