"""The README.md beside shared weights: front matter that Hugging Face reads, and how the generator came about."""

from statistics import fmean
from typing import Any

import yaml

from transgan.config.plan import Plan, Run
from transgan.data.sources.catalog import CATALOG
from transgan.utils.escape import markdown
from transgan.utils.units import plain_number

TASK = "unconditional-image-generation"  # one of the hub's names of tasks
OTHER_LICENCE = "other"  # the hub's name for a licence that it has no name for
NOT_COMPARABLE = "Its numbers are not comparable with the paper's"


def front_matter(plan: Plan, run: Run, scores: dict[str, Any] | None, licence: str) -> dict[str, Any]:
    """Keys of the hub's model cards. `scores` is the content of scores/<run>.json, None before the run is scored."""
    of_data = CATALOG.get(run.dataset.source)
    matter: dict[str, Any] = {
        "license": licence,
        **({"license_name": "terms-of-the-training-data"} if licence == OTHER_LICENCE else {}),
        **({"license_link": of_data.homepage} if licence == OTHER_LICENCE and of_data else {}),
        "library_name": "transgan",
        "pipeline_tag": TASK,
        "tags": ["transgan", "gan", "image-generation", "pytorch", "arxiv:2102.07074"],
        "datasets": [data_name(run)],
    }
    if scores is not None:
        matter["metrics"] = list(dict.fromkeys(name for names in scores["protocols"].values() for name in names))
        matter["model-index"] = [
            {
                "name": run.name,
                "results": [
                    {
                        "task": {"type": TASK},
                        "dataset": {"type": data_name(run), "name": of_data.title if of_data else data_name(run)},
                        "metrics": [
                            {"type": each["metric"], "name": f"{each['title']} ({each['how']})", "value": each["mean"]}
                            for each in results(scores)
                        ],
                    }
                ],
            }
        ]
    return matter


def data_name(run: Run) -> str:
    """The name of the training data: its publisher's, or that of the dataset in the params file for one's own images.

    The data of the demo is `digits`, whatever it stands in for.
    """
    return run.dataset_name if run.dataset.source == "folder" else run.dataset.source


def results(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """Per protocol and metric: metric, title, mean over evaluation seeds, values, protocol, how (in words)."""
    found = []
    for protocol, metrics in scores["protocols"].items():
        settings = scores.get("settings", {}).get(protocol, {})
        samples = f", {settings['samples']:,} images" if "samples" in settings else ""
        for metric, entry in metrics.items():
            values = entry["values"]
            found.append(
                {
                    "metric": metric,
                    "title": settings.get("titles", {}).get(metric, metric),
                    "mean": fmean(values),
                    "values": values,
                    "protocol": protocol,
                    "how": f"protocol {protocol}{samples}, mean of {len(values)} evaluation seeds",
                }
            )
    return found


def model_card(
    plan: Plan,
    run: Run,
    title: str,
    record: dict[str, Any],
    origin: dict[str, Any],
    scores: dict[str, Any] | None,
    terms: str,
    licence: str,
) -> str:
    """The model card of a finished run as Markdown.

    `record` and `origin` are the content of its run.json and provenance.json, `terms` those of the training data.
    """
    matter = yaml.safe_dump(front_matter(plan, run, scores, licence), sort_keys=False, allow_unicode=True)
    side = run.dataset.resolution
    words = [
        f"---\n{matter}---\n",
        f"# {markdown(title)}\n",
        f"A generator of {side} x {side} images, trained as the run `{run.name}` of a reproduction of TransGAN "
        "([arXiv 2102.07074](https://arxiv.org/abs/2102.07074)), which is not affiliated with the paper's authors. "
        "The network and all of its settings are in the metadata of `model.safetensors`.\n",
    ]
    if not plan.scale.comparable:
        words.append(f"**{NOT_COMPARABLE}**: {markdown(plan.scale.description)}.\n")
    words += ["![Samples](samples.png)\n", "## Use\n", _use(), "## Scores\n", _scores(scores)]
    words += ["## Training\n", _training(run, record, origin), "## Terms\n"]
    words.append(
        f"Training data: {markdown(terms)}. Who passes these weights on decides whether those terms reach them; the "
        "code that trained them has an MIT licence.\n"
    )
    return "\n".join(words)


def _use() -> str:
    return """```python
import transgan

generator = transgan.load_generator("FOLDER")  # the folder with model.safetensors
images = generator.sample(16, seed=0)  # (16, H, W, 3), uint8
```

`hf download NAME --local-dir FOLDER` fetches the folder from Hugging Face. The weights are plain safetensors:
`safetensors.torch.load_file("model.safetensors")` reads them without this package.
"""


def _scores(scores: dict[str, Any] | None) -> str:
    if scores is None:
        return "This generator was exported before it was scored.\n"
    lines = ["| metric | value | evaluation seeds | protocol |", "|---|---|---|---|"]
    for each in results(scores):
        seeds = ", ".join(map(plain_number, each["values"]))
        lines.append(
            f"| {markdown(each['title'])} | {plain_number(each['mean'])} | {seeds} | {markdown(each['protocol'])} |"
        )
    warnings = [markdown(text) for texts in scores.get("warnings", {}).values() for text in texts]
    return "\n".join([*lines, *(f"\nWarning: {text}" for text in warnings)]) + "\n"


def _training(run: Run, record: dict[str, Any], origin: dict[str, Any]) -> str:
    commit = origin.get("commit")
    dirty = " with uncommitted changes" if origin.get("dirty") else ""
    hardware = origin.get("hardware", {})
    machine = ", ".join(hardware.get("gpus") or [hardware.get("cpu") or "not recorded"])
    versions = ", ".join(f"{name} {version}" for name, version in origin.get("libraries", {}).items())
    rows = {
        "data": f"{data_name(run)}, SHA-256 of the packed images `{record['data']}`",
        "real images shown": f"{record['images']:,} ({100 * run.share:.2g}% of the paper's schedule)",
        "model, recipe": f"`{run.model_name}`, `{run.recipe_name}`",
        "seed": str(run.seed),
        "fingerprint of the configuration": f"`{record['fingerprint']}`",
        "commit": f"`{commit}`{dirty}" if commit else "not recorded",
        "machine": markdown(machine),
        "versions": markdown(versions) or "not recorded",
        "finished": markdown(str(origin.get("finished", "not recorded"))),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]) + "\n"
