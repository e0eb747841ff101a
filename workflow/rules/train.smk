# train: one training run. Its checkpoints are in state/ and are not declared as outputs, because Snakemake deletes the
# outputs of a failed job.
rule train:
    """Train a run. The longest run starts before the others."""
    input:
        inputs=lambda w: inputs_of("train", w.run),
        config=lambda w: config_of("train", w.run),
    output:
        f"{RESULTS}/runs/{{run}}/generator.safetensors",
        f"{RESULTS}/runs/{{run}}/run.json",
        f"{RESULTS}/runs/{{run}}/history.csv",
        f"{RESULTS}/runs/{{run}}/samples.png",
        f"{RESULTS}/runs/{{run}}/dynamics.npz",
        f"{RESULTS}/runs/{{run}}/provenance.json",
    log:
        f"{LOGS}/train/{{run}}.log",
    priority: lambda w: 1 if w.run == LONGEST_RUN else 0
    threads: lambda w: GRAPH[f"train@{w.run}"].threads
    resources:
        **asks("train", lambda w: w.run),
        nodes=if_spread(lambda spread: spread.nodes),
        tasks=if_spread(lambda spread: spread.tasks),
        tasks_per_gpu=if_spread(lambda spread: 1),
        mpi=if_spread(lambda spread: "srun"),
    params:
        options=lambda w: options_of("train", w.run),
        fingerprint=lambda w: fingerprint_of("train", w.run),
        launcher=lambda w, resources: (
            spread(w.run).launcher(resources.cpus_per_task) if spread(w.run) else ""
        ),
    shell:
        "{params.launcher}transgan train {wildcards.run:q} {params.options} 2>&1 | keep {log:q}"


# Before days of computing: every run for a few steps at its real size, on the device where it will train. It has no
# output; what it measured is in state/, where `transgan plan` reads it.
rule rehearse:
    """Try every run for a few steps at its real size on this device."""
    log:
        f"{LOGS}/rehearse.log",
    resources:
        gpu=1 if GPUS else 0,
        mem_mb=16000,
        runtime=240,
    params:
        options=lambda w: OPTIONS,
    shell:
        "transgan rehearse {params.options} 2>&1 | keep {log:q}"
