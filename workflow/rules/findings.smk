# Findings: tables and figures that question the numbers (docs/findings.md). `reproduce_tables` includes none of them;
# `snakemake --cores all findings` makes them all. A rule adds its outputs to FINDINGS.
FINDINGS = []

# The run that is questioned is the scale's first, the headline run.
QUESTIONED_RUN = next(iter(PLAN.scheduled_runs), "none")


if QUESTIONED_RUN != "none":
    FINDINGS += [f"{RESULTS}/findings/fid-budget.{suffix}" for suffix in ("csv", "md")]

# Tables in which two rows share training seeds.
FINDINGS += [
    f"{RESULTS}/findings/{finding}/{table}.{suffix}"
    for finding, suffixes in (
        ("paired", ("csv", "md", "png", "pdf")),
        ("variance", ("csv", "md")),
    )
    for table in PLAN.tables_with_common_seeds
    for suffix in suffixes
]

# Runs with tiles, where another form of attention is scheduled.
FINDINGS += [
    f"{RESULTS}/findings/seams-{run}.{suffix}"
    for run in seam_runs(PLAN)
    for suffix in ("csv", "md", "png", "pdf")
]

# Tables whose rows are a full factorial design.
FINDINGS += [
    f"{RESULTS}/findings/factorial/{table}.{suffix}"
    for table in PLAN.tables_with_common_seeds
    if PLAN.table(table).factors
    for suffix in ("csv", "md", "png", "pdf")
]

# The gradient leak is measured in the scale's first run that has it, in its first steps: a run of the paper would be
# trained five times. `transgan leak RUN` measures whole runs.
LEAK_STEPS = 200
LEAKING_RUN = next(
    (
        name
        for name, run in PLAN.scheduled_runs.items()
        if run.recipe.leak_generator_gradient
    ),
    "none",
)

if LEAKING_RUN != "none":
    FINDINGS += [
        f"{RESULTS}/findings/leak-{LEAKING_RUN}.{suffix}"
        for suffix in ("csv", "md", "png", "pdf")
    ]


def leak_images():
    """Real images of the leak's measurement."""
    recipe = PLAN.run(LEAKING_RUN).recipe
    return min(recipe.images, LEAK_STEPS * recipe.batch)


localrules:
    findings,
    paired,
    seams,
    variance,
    factorial,


rule findings:
    """All findings: tables and figures that question the numbers."""
    input:
        lambda w: FINDINGS,
    retries: 0


rule fid_budget:
    """Measure what FID depends on besides the generator, for the scale's first run."""
    input:
        lambda w: GRAPH[f"score@{QUESTIONED_RUN}"].inputs,
        lambda w: GRAPH[f"prepare@{PLAN.run(QUESTIONED_RUN).dataset_name}"].outputs,
    output:
        f"{RESULTS}/findings/fid-budget.csv",
        report(
            f"{RESULTS}/findings/fid-budget.md",
            caption="../report/fid-budget.rst",
            category="Findings",
            labels={"finding": "what moves FID by how much"},
        ),
    log:
        f"{LOGS}/findings/fid-budget.log",
    threads: lambda w: GRAPH[f"score@{QUESTIONED_RUN}"].threads
    resources:
        **asks("score", lambda w: QUESTIONED_RUN),
    params:
        options=lambda w: OPTIONS,
        run=QUESTIONED_RUN,
        fingerprint=lambda w: fingerprint_of("score", QUESTIONED_RUN),
    shell:
        "transgan fid-budget --run {params.run:q} {params.options} 2>&1 | keep {log:q}"


rule paired:
    """Compare the rows of a table seed by seed."""
    input:
        lambda w: GRAPH[f"table@{w.table}"].inputs,
    output:
        f"{RESULTS}/findings/paired/{{table}}.csv",
        report(
            f"{RESULTS}/findings/paired/{{table}}.md",
            caption="../report/paired.rst",
            category="Findings",
            labels={"finding": "{table}: paired differences", "as": "table"},
        ),
        report(
            f"{RESULTS}/findings/paired/{{table}}.png",
            caption="../report/paired.rst",
            category="Findings",
            labels={"finding": "{table}: paired differences", "as": "figure"},
        ),
        f"{RESULTS}/findings/paired/{{table}}.pdf",
    log:
        f"{LOGS}/findings/paired-{{table}}.log",
    retries: 0
    params:
        options=lambda w: OPTIONS,
        fingerprint=lambda w: fingerprint_of("table", w.table),
    shell:
        "transgan paired {wildcards.table:q} {params.options} 2>&1 | keep {log:q}"


rule variance:
    """Split the spread of a table's scores into training seeds, evaluation seeds and numbers of samples."""
    input:
        lambda w: GRAPH[f"table@{w.table}"].inputs,
    output:
        f"{RESULTS}/findings/variance/{{table}}.csv",
        report(
            f"{RESULTS}/findings/variance/{{table}}.md",
            caption="../report/variance.rst",
            category="Findings",
            labels={"finding": "{table}: analysis of variance"},
        ),
    log:
        f"{LOGS}/findings/variance-{{table}}.log",
    retries: 0
    params:
        options=lambda w: OPTIONS,
        fingerprint=lambda w: fingerprint_of("table", w.table),
    shell:
        "transgan variance {wildcards.table:q} {params.options} 2>&1 | keep {log:q}"


rule seams:
    """Measure seams between the tiles of grid attention along training, beside other forms of attention."""
    input:
        lambda w: [
            path
            for run in same_but_for_attention(PLAN, w.run)
            for path in GRAPH[f"train@{run}"].outputs
        ],
        lambda w: GRAPH[f"prepare@{PLAN.run(w.run).dataset_name}"].outputs,
    output:
        f"{RESULTS}/findings/seams-{{run}}.csv",
        f"{RESULTS}/findings/seams-{{run}}-spectra.csv",
        f"{RESULTS}/findings/seams-{{run}}.pdf",
        report(
            multiext(f"{RESULTS}/findings/seams-{{run}}", ".md", ".png"),
            caption="../report/seams.rst",
            category="Findings",
            labels={"finding": "{run}: seams between tiles"},
        ),
    log:
        f"{LOGS}/findings/seams-{{run}}.log",
    retries: 0
    params:
        options=lambda w: OPTIONS,
        fingerprint=lambda w: [
            fingerprint_of("train", run) for run in same_but_for_attention(PLAN, w.run)
        ],
    shell:
        "transgan seams {wildcards.run:q} {params.options} 2>&1 | keep {log:q}"


rule leak:
    """Measure the gradient that a generator step leaves in D, for several n_critic, in the first run that leaks it."""
    input:
        lambda w: GRAPH[f"train@{LEAKING_RUN}"].inputs,
    output:
        f"{RESULTS}/findings/leak-{LEAKING_RUN}.csv",
        report(
            f"{RESULTS}/findings/leak-{LEAKING_RUN}.md",
            caption="../report/leak.rst",
            category="Findings",
            labels={"finding": "anatomy of the gradient leak", "as": "table"},
        ),
        report(
            f"{RESULTS}/findings/leak-{LEAKING_RUN}.png",
            caption="../report/leak.rst",
            category="Findings",
            labels={"finding": "anatomy of the gradient leak", "as": "figure"},
        ),
        f"{RESULTS}/findings/leak-{LEAKING_RUN}.pdf",
    log:
        f"{LOGS}/findings/leak.log",
    threads: lambda w: GRAPH[f"train@{LEAKING_RUN}"].threads
    resources:
        **asks("train", lambda w: LEAKING_RUN),
    params:
        options=lambda w: OPTIONS,
        run=LEAKING_RUN,
        images=lambda w: leak_images(),
        fingerprint=lambda w: fingerprint_of("train", LEAKING_RUN),
    shell:
        "transgan leak {params.run:q} --images {params.images} {params.options} 2>&1 | keep {log:q}"


rule factorial:
    """Effects, interactions and Shapley shares of a table that is a full factorial design."""
    input:
        lambda w: GRAPH[f"table@{w.table}"].inputs,
    output:
        f"{RESULTS}/findings/factorial/{{table}}.csv",
        report(
            f"{RESULTS}/findings/factorial/{{table}}.md",
            caption="../report/factorial.rst",
            category="Findings",
            labels={"finding": "{table}: factorial design"},
        ),
        report(
            f"{RESULTS}/findings/factorial/{{table}}.png",
            caption="../report/factorial.rst",
            category="Findings",
            labels={"finding": "{table}: factorial design, figure"},
        ),
        f"{RESULTS}/findings/factorial/{{table}}.pdf",
    log:
        f"{LOGS}/findings/factorial-{{table}}.log",
    retries: 0
    params:
        options=lambda w: OPTIONS,
        fingerprint=lambda w: fingerprint_of("table", w.table),
    shell:
        "transgan factorial {wildcards.table:q} {params.options} 2>&1 | keep {log:q}"
