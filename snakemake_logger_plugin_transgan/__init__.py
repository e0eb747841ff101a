"""Snakemake finds logger plugins by the name of a top-level module: this one is `--logger transgan`."""

from transgan.pipeline.snakemake_progress import LogHandler

__all__ = ["LogHandler"]
