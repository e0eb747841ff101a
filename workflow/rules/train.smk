# train: one training run. What it needs to go on after an interruption lies in state/, undeclared, so that a failed job loses nothing.
rule train:
    input:
        made=lambda w: made("train", w.run),
        changed=lambda w: changed("train", w.run),
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


# The longest run starts before the others that could: what is left to do in the end then fills the other cores. (Snakemake takes no function of
# the run as a priority.) Profiles that set resources of `train` set them of this rule, too.
use rule train as train_longest with:
    wildcard_constraints:
        run=LONGEST_RUN,
    priority: 1


ruleorder: train_longest > train
