"""Names the extra of this package that a missing library belongs to. pyproject.toml lists them."""

EXTRAS = {
    "tracking": ("mlflow",),
    "report": ("pandas", "seaborn", "matplotlib", "tabulate", "jinja2"),
    "pipeline": ("snakemake", "dvc"),
    "crate": ("rocrate",),
}


def to_install(extra: str) -> str:
    """What to type to install an extra."""
    return f"pip install 'transgan[{extra}]'"


def explained(error: ImportError) -> str | None:
    """What to type about a library that cannot be imported, in one line; None if it belongs to no extra."""
    library = (error.name or "").partition(".")[0]
    extra = next((extra for extra, libraries in EXTRAS.items() if library in libraries), None)
    return extra and f"{library} is not installed; run `{to_install(extra)}`"
