"""docs/performance.md: the text of performance-page.md, with what train_step.py and gpu_session.py have measured."""

import json
from pathlib import Path
from typing import Any

from gpu_page import gpu_part

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
HEADER = (
    "| run | device | arithmetic | batch D/G | images/s | plain loop | ratio | TFLOP/s | share | peak GiB / plain loop "
    "| loader images/s | load |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
)

ROOFLINE_HEADER = (
    "| run | arithmetic | step | ms, before / after | GB moved | kernels | peak GiB |",
    "|---|---|---|---|---|---|---|",
)
ROOFLINE_COLUMNS = {"ms": ".3g", "gb": ".3g", "kernels": ",", "peak_gib": ".1f"}


def page(folder: Path) -> str:
    """docs/performance.md from every result in a folder."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("train_step-*.json"))]
    machines = sorted({f"{result['machine']['cpu']}, {result['machine']['cores']} cores" for result in results})
    session = folder / "gpu_session.json"
    text = (HERE / "performance-page.md").read_text()
    text = text.replace("<!-- gpu -->", gpu_part(json.loads(session.read_text()) if session.exists() else None))
    text = text.replace("<!-- table -->", "\n".join([*HEADER, *map(_row, results)]))
    text = text.replace("<!-- roofline -->", "\n".join([*ROOFLINE_HEADER, *_roofline_rows(folder)]))
    return text.replace("<!-- machines -->", "\n".join(f"Machine: {machine}" for machine in machines))


def _roofline_rows(folder: Path) -> list[str]:
    """What roofline.py counted, one row a step: every number before and after."""
    before, after = (json.loads((folder / f"roofline-{when}.json").read_text())["rows"] for when in ("before", "after"))
    known = {(row["run"], row["arithmetic"], row["step"]): row for row in before}
    rows = []
    for new in after:
        # A penalty in bfloat16 did not exist before.
        old = known[new["run"], new["arithmetic"].split(",")[0], new["step"]]
        numbers = [f"{old[key]:{form}} / {new[key]:{form}}" for key, form in ROOFLINE_COLUMNS.items()]
        step = f"{new['step']}, {new['images']} images"
        rows.append(f"| {' | '.join([new['run'], new['arithmetic'], step, *numbers])} |")
    return rows


def _row(result: dict[str, Any]) -> str:
    """One measurement as a row of the table."""
    setting, measured = result["setting"], result["measured"]
    memory = measured["peak_memory_gib"]
    micro_batch = f" by {setting['micro_batch']}" if setting.get("micro_batch") else ""
    columns = [
        f"{setting['run']} ({setting['scale']})",
        setting["device"],
        setting["precision"] + (", compiled" if setting["compile"] else ""),
        f"{setting['batch']}/{setting['generator_batch']}{micro_batch}",
        *(_number(measured["images_per_second"][who], ".3g") for who in ("ours", "plain")),
        _number(measured["ratio"], ".2f"),
        f"{measured['tflops']['ours']:.3g}",
        f"{measured['share_of_matrix_product_rate']:.0%}",
        " / ".join(f"{memory[who]:.1f}" for who in ("ours", "plain") if memory[who] is not None),
        f"{measured['loader_images_per_second']:,.0f}",
        f"{result['machine']['load_before']:.1f}",
    ]
    return f"| {' | '.join(columns)} |"


def _number(value: float | None, form: str) -> str:
    """A dash where the plain loop was not measured."""
    return "–" if value is None else format(value, form)
