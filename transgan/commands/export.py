"""`transgan export`: a finished run as a folder that others can use: weights, configuration, samples, model card."""

import json
import logging
import shutil
from pathlib import Path

from transgan.commands.model_card import OTHER_LICENCE, data_name, model_card
from transgan.commands.show_data import terms
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics import generator_files
from transgan.metrics.score_file import read_scores
from transgan.pipeline.run_files import check_trained, read_provenance, read_record
from transgan.report.titles import run_titles
from transgan.utils import files

logger = logging.getLogger(__name__)

CARD = "README.md"


def export(plan: Plan, run_name: str, folder: Path, licence: str = OTHER_LICENCE) -> None:
    """Write a finished run's generator with a model card to a new or empty folder, all of it or nothing.

    The files: model.safetensors, config.json, samples.png, README.md. `licence` is a name of Hugging Face's list, such
    as `cc-by-4.0`. Raises UserError when the run is not finished or the folder cannot be written.
    """
    from transgan.models import shared_folder

    run = plan.run(run_name)
    record = read_record(plan, run_name)
    if record is None or record["fingerprint"] != plan.fingerprint("train", run_name):
        raise UserError(
            f"{run_name}: not trained as params.yaml has it now; run `{plan.command('train', run_name)}`, then export"
        )
    saved = generator_files.read_trained(plan, run_name)
    scores = read_scores(plan, run_name)
    if scores is not None and scores["train_fingerprint"] != record["fingerprint"]:
        scores = None
    if scores is None:
        logger.warning(f"{run_name}: not scored, so the model card has no scores; {plan.command('score', run_name)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: already exists; name a new folder")
    origin = read_provenance(plan, run_name)
    keys = {
        "license": licence,
        "dataset": data_name(run),
        "data_sha256": record["data"],
        "commit": str(origin.get("commit") or "unknown"),
        "scores": json.dumps(scores["protocols"] if scores else {}, sort_keys=True),
        "comparable_with_the_paper": str(plan.scale.comparable).lower(),
    }
    title = run_titles(plan, [run_name])[run_name]
    card = model_card(plan, run, title, record, origin, scores, terms(run.dataset.source), licence)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    with files.user_error_on_write(folder):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        shared_folder.write(unfinished, saved, keys)
        samples = plan.paths.run(run_name) / "samples.png"
        if samples.exists():
            check_trained(plan, run_name, samples)
            shutil.copyfile(samples, unfinished / "samples.png")
        else:
            card = card.replace("![Samples](samples.png)\n\n", "")
        files.write_text(unfinished / CARD, card)
        unfinished.replace(folder)
    logger.info(f"export {run_name}: {folder}; to publish it: hf upload NAME {folder}")
