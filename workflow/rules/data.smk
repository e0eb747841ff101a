# fetch and prepare: from a source to packed arrays. On a cluster, fetch runs beside Snakemake, on the node that has the
# network; without a shared file system it is a job as any other, because its folder must be prepared as theirs.
# Priorities: what many runs wait for comes first (2), then the longest run (1), then the rest.
DATA = f"data/{PLAN.scale_name}"


if SHARED:

    localrules:
        fetch,


rule fetch:
    """Download a dataset's archives, or check those already here."""
    input:
        config=lambda w: config_of("fetch", w.dataset),
    output:
        f"{DATA}/{{dataset}}/source.json",
    log:
        f"{LOGS}/fetch/{{dataset}}.log",
    priority: 2
    retries: 0
    params:
        options=lambda w: OPTIONS,
        fingerprint=lambda w: fingerprint_of("fetch", w.dataset),
    shell:
        "transgan fetch {wildcards.dataset:q} {params.options} 2>&1 | keep {log:q}"


rule prepare:
    """Decode, crop, resize and pack a dataset into arrays."""
    input:
        inputs=lambda w: inputs_of("prepare", w.dataset),
        config=lambda w: config_of("prepare", w.dataset),
    output:
        f"{DATA}/{{dataset}}/images.npy",
        f"{DATA}/{{dataset}}/labels.npy",
        f"{DATA}/{{dataset}}/manifest.json",
        f"{DATA}/{{dataset}}/contact.png",
    log:
        f"{LOGS}/prepare/{{dataset}}.log",
    priority: 2
    threads: lambda w: GRAPH[f"prepare@{w.dataset}"].threads
    resources:
        **asks("prepare", lambda w: w.dataset),
    params:
        options=lambda w: options_of("prepare", w.dataset),
        fingerprint=lambda w: fingerprint_of("prepare", w.dataset),
    shell:
        "transgan prepare {wildcards.dataset:q} {params.options} 2>&1 | keep {log:q}"
