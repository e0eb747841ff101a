# fetch and prepare: from a source to packed arrays.
DATA = f"data/{PLAN.scale_name}"


rule fetch:
    input:
        changed=lambda w: changed("fetch", w.dataset),
    output:
        f"{DATA}/{{dataset}}/source.json",
    log:
        f"{LOGS}/fetch/{{dataset}}.log",
    params:
        options=OPTIONS,
    shell:
        "transgan fetch {wildcards.dataset} {params.options} 2>&1 | keep {log}"


rule prepare:
    input:
        made=lambda w: made("prepare", w.dataset),
        changed=lambda w: changed("prepare", w.dataset),
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
        "transgan prepare {wildcards.dataset} {params.options} 2>&1 | keep {log}"
