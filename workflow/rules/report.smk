# Tables, figures, and all cells of the tables in one file: the paper's results next to this project's.
# `snakemake --report` includes the outputs marked `report`. On a cluster, tables, which take a second, are made beside
# Snakemake: a job would wait longer than it runs.
localrules:
    table,
    cells,
    report_page,


rule table:
    """Write a table with the paper's numbers beside this project's."""
    input:
        inputs=lambda w: inputs_of("table", w.table),
        config=lambda w: config_of("table", w.table),
    output:
        report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={
                "table": "{table}",
                "as": "csv, a line per cell and training seed",
            },
        ),
        report(
            f"{RESULTS}/tables/{{table}}.md",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}", "as": "Markdown, the paper's layout"},
        ),
        f"{RESULTS}/tables/{{table}}.tex",
    log:
        f"{LOGS}/table/{{table}}.log",
    retries: 0
    params:
        options=lambda w: OPTIONS,
        fingerprint=lambda w: fingerprint_of("table", w.table),
    shell:
        "transgan table {wildcards.table:q} {params.options} 2>&1 | keep {log:q}"


rule cells:
    """Write the cells of all tables to one csv file."""
    input:
        inputs=lambda w: inputs_of("cells", "all"),
        config=lambda w: config_of("cells", "all"),
    output:
        report(
            f"{RESULTS}/cells.csv",
            caption="../report/cells.rst",
            category="Tables",
            labels={
                "table": "all tables",
                "as": "csv, a line per cell and training seed",
            },
        ),
    log:
        f"{LOGS}/cells/all.log",
    retries: 0
    params:
        options=lambda w: OPTIONS,
        fingerprint=lambda w: fingerprint_of("cells", "all"),
    shell:
        "transgan cells {params.options} 2>&1 | keep {log:q}"


rule figure:
    """Draw a figure."""
    input:
        inputs=lambda w: inputs_of("figure", w.figure),
        config=lambda w: config_of("figure", w.figure),
    output:
        report(
            f"{RESULTS}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        f"{RESULTS}/figures/{{figure}}.pdf",
    log:
        f"{LOGS}/figure/{{figure}}.log",
    resources:
        **asks("figure", lambda w: w.figure),
    params:
        options=lambda w: OPTIONS,
        fingerprint=lambda w: fingerprint_of("figure", w.figure),
    shell:
        "transgan figure {wildcards.figure:q} {params.options} 2>&1 | keep {log:q}"


# All tables and figures on one page. The page contains times and machine names, so no rule depends on it, and
# reproduce_tables does not include it.
rule report_page:
    """Write all tables and figures on one page."""
    input:
        TABLES_AND_FIGURES,
    output:
        report(
            f"{RESULTS}/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "every table and figure, cell by cell"},
        ),
        *[
            report(
                f"{RESULTS}/report/{table}.html",
                caption="../report/table_page.rst",
                category="Tables",
                labels={"table": table, "as": "HTML, with links to runs"},
            )
            for table in PLAN.params.tables
        ],
        f"{RESULTS}/provenance.json",
        f"{RESULTS}/cost_measured.csv",
    log:
        f"{LOGS}/report.log",
    retries: 0
    params:
        options=lambda w: OPTIONS,
    shell:
        "transgan report {params.options} 2>&1 | keep {log:q}"
