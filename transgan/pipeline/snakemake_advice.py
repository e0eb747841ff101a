"""What to type about an error that Snakemake prints, and about a job that failed. Tested with Snakemake 9.27."""

import re

_INSTALL = "run `make setup` in a checkout, or elsewhere `pip install --upgrade 'transgan[pipeline]'`"

# Part of Snakemake's message -> what to type. The first that matches counts; "" where the message says so itself.
_ADVICE: tuple[tuple[str, str], ...] = (
    (r"params.*\.ya?ml: ", ""),  # this project's own messages
    (r"^Exiting because a job execution failed|^Remaining jobs|At least one job did not", ""),  # the jobs were named
    (r"^Cancelling snakemake", "type the same command again: it resumes"),
    (r"cannot be locked", "if no Snakemake runs here, type `snakemake --unlock`, then the same command again"),
    (r"seem to be incomplete", "type the same command again with `--rerun-incomplete`"),
    (r"some output files are missing|latency-wait", "on a slow file system, type the same command again with "
     "`--latency-wait 60`"),
    (r"No space left|[Dd]isk quota", "run `df -h .`, free disk space, then type the same command again"),
    (r"[Pp]ermission denied|Read-only file system|not writ[e]?able|protected", "run `ls -ld . results .snakemake` to "
     "see whose files they are and fix their permissions, then type the same command again"),
    (r"MissingRuleException|No rule to produce", "run `snakemake --summary` for the files that this scale makes, or "
     "name another scale with `--config scale=NAME`"),
    (r"MissingInputException|Missing input files", "run `transgan data` and `transgan plan` to see which datasets and "
     "runs params.yaml has at this scale"),
    (r"executor plugin|Executor .* not available|--executor", "run `pip install snakemake-executor-plugin-NAME`"),
    (r"expects Snakemake version|min_version", _INSTALL),
    (r"No module named '?(?P<module>[\w.]+)", _INSTALL),
)  # fmt: skip
_OTHERWISE = "type the same command again with `--verbose` to see more"

_BY_EXIT_CODE = {
    "1": "run `{command}` to see the traceback by itself; it is a bug",
    "2": "fix what its last line says, then type the same command again",
    "3": "training diverged: change the recipe or the seed in params.yaml, then type the same command again",
    "129": "type the same command again: it resumes",
    "130": "type the same command again: it resumes",
    "137": "the system has killed it, mostly because memory ran out: type the same command again with `--cores 1`",
    "139": "run `{command}` to see the crash by itself",
    "143": "type the same command again: it resumes",
}


def advice(message: str) -> str:
    """What to type about an error message of Snakemake's; empty where the message itself says so."""
    return next((what for pattern, what in _ADVICE if re.search(pattern, message)), _OTHERWISE)


def job_advice(exit_code: str | None, command: str) -> str:
    """What to type about a failed job with the shell command `command`."""
    stage = command.partition(" 2>&1")[0].strip() or "the job's command"
    return _BY_EXIT_CODE.get(exit_code or "", "run `{command}` to see the failure by itself").format(command=stage)
