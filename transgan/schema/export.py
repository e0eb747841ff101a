"""Writes the JSON schema with which Snakemake validates params.yaml: `python -m transgan.schema.export`."""

from pathlib import Path

from transgan.schema.params import Params
from transgan.utils import files
from transgan.utils.exit_codes import one_line_exit

TARGET = Path("workflow/schemas/params.schema.json")


def schema() -> str:
    """The schema as text."""
    return files.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **Params.model_json_schema()})


if __name__ == "__main__":
    with one_line_exit():
        files.write_text(TARGET, schema())
