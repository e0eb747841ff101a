# The rule train: one training run. Its checkpoints are in state/. They are not declared as outputs, because Snakemake
# deletes the outputs of a failed job.
rule train:
    input:
        stages=lambda w: inputs_of("train", w.run),
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
    threads: lambda w: GRAPH[f"train@{w.run}"].threads
    resources:
        gpu=lambda w: gpus("train", w.run),
    params:
        options=OPTIONS,
    shell:
        "transgan train {wildcards.run} {params.options} 2>&1 | keep {log}"


# The longest run starts before all others, so that shorter runs fill the remaining cores meanwhile. It needs a rule of
# its own, because a priority cannot be a function of the wildcards. A profile must set its resources too.
use rule train as train_longest with:
    wildcard_constraints:
        run=LONGEST_RUN,
    priority: 1


ruleorder: train_longest > train
