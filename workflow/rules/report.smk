# table and figure: what the paper prints, with our numbers in it.
rule table:
    input:
        made=lambda w: made("table", w.table),
        changed=lambda w: changed("table", w.table),
    output:
        f"{RESULTS}/tables/{{table}}.csv",
        f"{RESULTS}/tables/{{table}}.md",
        f"{RESULTS}/tables/{{table}}.tex",
    log:
        f"{LOGS}/table/{{table}}.log",
    params:
        options=OPTIONS,
    shell:
        "transgan table {wildcards.table} {params.options} 2>&1 | tee {log}"


rule figure:
    input:
        made=lambda w: made("figure", w.figure),
        changed=lambda w: changed("figure", w.figure),
    output:
        f"{RESULTS}/figures/{{figure}}.png",
        f"{RESULTS}/figures/{{figure}}.pdf",
    log:
        f"{LOGS}/figure/{{figure}}.log",
    params:
        options=OPTIONS,
    shell:
        "transgan figure {wildcards.figure} {params.options} 2>&1 | tee {log}"
