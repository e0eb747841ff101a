"""What Snakemake and DVC run, from params.yaml: the graph of stages, state folders, freshness and provenance."""
