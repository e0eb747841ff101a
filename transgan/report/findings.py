"""Writes a finding, a table that questions numbers: its data as csv and as Markdown for people."""

from pathlib import Path

import pandas as pd

from transgan.report.cells_frame import csv_text
from transgan.report.layout import Layout, markdown
from transgan.utils import files


def write_finding(base: Path, frame: pd.DataFrame, *layouts: Layout) -> tuple[Path, Path]:
    """Write `base` with the suffixes .csv and .md, of one or more tables, and return both paths."""
    written = base.with_name(f"{base.name}.csv"), base.with_name(f"{base.name}.md")
    files.write_text(written[0], csv_text(frame))
    files.write_text(written[1], "\n".join(markdown(layout) for layout in layouts))
    return written
