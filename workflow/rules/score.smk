# classifier, reference and score: train the digit classifier, compute the reference statistics, and score each run.
rule classifier:
    """Train the demo's digit classifier, which stands in for Inception."""
    input:
        inputs=lambda w: inputs_of("classifier", w.classifier),
        config=lambda w: config_of("classifier", w.classifier),
    output:
        f"{RESULTS}/classifiers/{{classifier}}.safetensors",
    log:
        f"{LOGS}/classifier/{{classifier}}.log",
    priority: 2
    threads: lambda w: GRAPH[f"classifier@{w.classifier}"].threads
    resources:
        **asks("classifier", lambda w: w.classifier),
    params:
        options=lambda w: options_of("classifier", w.classifier),
        fingerprint=lambda w: fingerprint_of("classifier", w.classifier),
    shell:
        "transgan classifier {wildcards.classifier:q} {params.options} 2>&1 | keep {log:q}"


rule reference:
    """Compute the reference statistics of a dataset under a protocol, once for all runs."""
    input:
        inputs=lambda w: inputs_of("reference", f"{w.dataset}-{w.protocol}"),
        config=lambda w: config_of("reference", f"{w.dataset}-{w.protocol}"),
    output:
        f"{RESULTS}/reference/{{dataset}}-{{protocol}}.npz",
    log:
        f"{LOGS}/reference/{{dataset}}-{{protocol}}.log",
    priority: 2
    threads: lambda w: GRAPH[f"reference@{w.dataset}-{w.protocol}"].threads
    resources:
        **asks("reference", lambda w: f"{w.dataset}-{w.protocol}"),
    params:
        options=lambda w: options_of("reference", f"{w.dataset}-{w.protocol}"),
        fingerprint=lambda w: fingerprint_of("reference", f"{w.dataset}-{w.protocol}"),
    shell:
        "transgan reference {wildcards.dataset:q} {wildcards.protocol:q} {params.options} 2>&1 | keep {log:q}"


rule score:
    """Score a trained run under its protocol."""
    input:
        inputs=lambda w: inputs_of("score", w.run),
        config=lambda w: config_of("score", w.run),
    output:
        f"{RESULTS}/scores/{{run}}.json",
        f"{RESULTS}/metrics/{{run}}.json",
    log:
        f"{LOGS}/score/{{run}}.log",
    threads: lambda w: GRAPH[f"score@{w.run}"].threads
    resources:
        **asks("score", lambda w: w.run),
    params:
        options=lambda w: options_of("score", w.run),
        fingerprint=lambda w: fingerprint_of("score", w.run),
    shell:
        "transgan score {wildcards.run:q} {params.options} 2>&1 | keep {log:q}"
