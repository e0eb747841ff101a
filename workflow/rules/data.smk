# fetch and prepare: from a source to packed arrays.
DATA = f"data/{PLAN.scale_name}"


rule fetch:
    input:
        config=lambda w: config_of("fetch", w.dataset),
    output:
        f"{DATA}/{{dataset}}/source.json",
    log:
        f"{LOGS}/fetch/{{dataset}}.log",
    params:
        options=OPTIONS,
    shell:
        "transgan fetch {wildcards.dataset:q} {params.options} 2>&1 | keep {log:q}"


rule prepare:
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
    threads: lambda w: GRAPH[f"prepare@{w.dataset}"].threads
    params:
        options=OPTIONS,
    shell:
        "transgan prepare {wildcards.dataset:q} {params.options} 2>&1 | keep {log:q}"
