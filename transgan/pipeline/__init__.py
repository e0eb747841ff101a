"""Between params.yaml and the two front-ends: the graph of stages, state folders, freshness, provenance."""
