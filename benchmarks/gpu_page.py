"""The part of docs/performance.md about a GPU, from the JSON that gpu_session.py has written."""

from collections.abc import Iterable, Mapping
from typing import Any

NOTHING = "Nothing has been measured on a GPU yet. The commands below do it; code for a GPU is tested on a CPU only."
DRY_RUN = (
    "**The following is from a dry run on {device}. It shows that the script works. Its numbers are no measurements: "
    "networks, batches and matrices are tiny, and compiled code is not generated.**"
)
KERNELS = 10  # shown of a profile
Json = Mapping[str, Any]


def gpu_part(session: Json | None) -> str:
    """Markdown of a session; without one, that nothing has been measured."""
    if session is None:
        return NOTHING
    sections = [_head(session), _table(("step", "status", "seconds", "result"), _steps(session["steps"]))]
    for title, part in (
        ("Ceilings", _ceilings),
        ("Operations", _probes),
        ("Tests", _tests),
        ("Training step, CIFAR-10 pair", _training),
        ("CUDA graphs, CIFAR-10 pair in bfloat16", _graphs),
        ("Kernels", _kernels),
        ("256 pixels, one micro-batch", _large_images),
        ("A run on JPEG images", _run),
    ):
        text = part(session["steps"])
        if text:
            sections += [f"### {title}", text]
    return "\n\n".join(sections)


def _head(session: Json) -> str:
    environment = session["steps"].get("environment", {})
    torch = environment.get("torch", {})
    packed = session.get("packed") or {}
    device = torch.get("name", session["device"])
    changes = " with changes" if packed.get("dirty") else ""
    facts = [
        f"Device: {device}",
        f"driver {environment['gpu']['driver_version']}" if environment.get("gpu") else "",
        f"PyTorch {torch.get('torch')}",
        f"Python {environment.get('python')}",
        f"{environment.get('cores')} cores",
        f"commit {packed['commit'][:10]}{changes}" if packed.get("commit") else "",
    ]
    line = f"{', '.join(fact for fact in facts if fact)}. The session took {session['seconds']:.0f} s."
    return f"{DRY_RUN.format(device=device)}\n\n{line}" if session["dry_run"] else line


def _steps(steps: Json) -> Iterable[tuple[str, ...]]:
    for name, step in steps.items():
        yield name.replace("_", " "), step["status"], f"{step['seconds']:.0f}", step.get("summary", "")


def _ceilings(steps: Json) -> str:
    results = _results(steps, "ceilings")
    rows = [
        (f"product of size {side}, {precision}", f"{rate:.3g} TFLOP/s")
        for precision, rates in results.get("products", {}).items()
        for side, rate in rates.items()
    ]
    if "tb_per_second" in results.get("copy", {}):
        rows.insert(0, ("copy, bytes read and written", f"{results['copy']['tb_per_second']:.3g} TB/s"))
    return _table(("what", "rate"), rows)


def _probes(steps: Json) -> str:
    rows = []
    for probe, shapes in _results(steps, "probes").items():
        for shape, variants in shapes.items():
            for variant, value in variants.items():
                errors = value.get("relative_error", {})
                worst = max(errors, key=lambda name: errors[name], default=None)
                rows.append(
                    (
                        probe.removesuffix("_probe"),
                        shape,
                        variant,
                        value["error"] if "error" in value else f"{value['ms']:.3g}",
                        _number(value.get("first_ms"), ".3g"),
                        _number(value.get("peak_gib"), ".2f"),
                        f"{errors[worst]:.1e} ({worst})" if worst else "",
                    )
                )
    return _table(("operation", "shape", "variant", "ms", "first ms", "GiB", "largest error"), rows)


def _tests(steps: Json) -> str:
    groups = steps.get("product_tests", {}).get("groups", {})
    lines = [
        f"- {name}: {group.get('tests', 0)} tests, {group.get('failed', 0)} failed, {group.get('skipped', 0)} skipped"
        + (", stopped before the end" if group["stopped"] else "")
        for name, group in groups.items()
    ]
    return "\n".join(lines + [f"  - {failure}" for group in groups.values() for failure in group.get("failures", [])])


def _training(steps: Json) -> str:
    measured = {f"{name}, eager": value for name, value in _results(steps, "eager_step").items() if name != "profile"}
    compiled = _results(steps, "compiled_step")
    measured |= {"bfloat16, compiled": compiled.get("compiled", {}), "plain loop, float32": compiled.get("plain", {})}
    rows = [
        (
            name,
            f"{value['images_per_second']:,.0f}",
            f"{1e3 * value['seconds_per_iteration']:.0f}",
            _number(value.get("tflops"), ".3g"),
            _number(value.get("share_of_matrix_product_rate"), ".0%"),
            _number(value.get("peak_gib"), ".1f"),
        )
        for name, value in measured.items()
        if "images_per_second" in value
    ]
    text = _table(("arithmetic", "images/s", "ms per iteration", "TFLOP/s", "share", "peak GiB"), rows)
    if text and "compile_seconds" in compiled.get("compiled", {}):
        text += f"\n\nCompiling took {compiled['compiled']['compile_seconds']:.0f} s."
    return text


def _graphs(steps: Json) -> str:
    compared = {f"eager, {name}": value for name, value in _results(steps, "cuda_graphs").items()}
    compiled = _results(steps, "compiled_step").get("compiled", {})
    if "with_graphs" in compiled:
        compared["compiled, the recipe's batch"] = {"without": compiled, "with": compiled["with_graphs"]}
    rows = [
        (
            name,
            *(f"{value[which]['images_per_second']:,.0f}" for which in ("without", "with")),
            *(_number(value[which].get("peak_gib"), ".1f") for which in ("without", "with")),
        )
        for name, value in compared.items()
        if "with" in value
    ]
    return _table(("step", "images/s without", "with", "peak GiB without", "with"), rows)


def _kernels(steps: Json) -> str:
    profiles = {
        "eager": _results(steps, "eager_step").get("profile", {}),
        "compiled": _results(steps, "compiled_step").get("compiled", {}).get("profile", {}),
    }
    parts = []
    for name, profile in profiles.items():
        if profile.get("launches"):
            idle = f"{profile['idle_share']:.0%} of {profile['span_ms']:.1f} ms idle"
            parts.append(f"One D step and one G step in bfloat16, {name}: {profile['launches']:,} launches, {idle}.")
            rows = [(f"`{row['name']}`", str(row["count"]), f"{row['ms']:.2f}") for row in profile["kernels"][:KERNELS]]
            parts.append(_table(("kernel", "launches", "ms"), rows))
    return "\n\n".join(parts)


def _large_images(steps: Json) -> str:
    rows = []
    for name, value in _results(steps, "large_images").items():
        for network in ("discriminator", "generator"):
            measured = value.get(network, {})
            rows.append(
                (
                    name,
                    network,
                    measured.get("error") or _number(measured.get("ms"), ".0f"),
                    _number(measured.get("first_ms"), ".0f"),
                    _number(measured.get("peak_gib"), ".1f"),
                    _number(value.get("planned_gib"), ".1f"),
                )
            )
    return _table(("pair and micro-batch", "step", "ms", "first ms", "peak GiB", "`transgan plan`, GiB"), rows)


def _run(steps: Json) -> str:
    run, scores = steps.get("real_run", {}), steps.get("scoring", {})
    if "curve" not in run:
        return ""
    rows = [
        tuple(_number(value, ",.5g" if i else ",.0f") for i, value in enumerate(row))
        for row in zip(*run["curve"].values(), strict=True)
    ]
    text = f"{run['summary']}.\n\n{_table(tuple(run['curve']), rows[:: max(1, len(rows) // 10)])}"
    if "fid" in scores:
        floor = "" if scores["floor"] is None else f" Between two halves of the images it is {scores['floor']:.3f}."
        text += (
            f"\n\n{scores['title']} of {scores['images']:,} samples is {scores['fid']:.3f}.{floor} It is not FID, the "
            "images are JPEGs, and it cannot be compared with the paper's numbers."
        )
    return text


def _results(steps: Json, step: str) -> dict[str, Any]:
    """What the parts of a step measured, by name."""
    return {name: part["results"] for name, part in steps.get(step, {}).get("parts", {}).items()}


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; empty without rows."""
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", "|" + "---|" * len(header), *lines]) if lines else ""
