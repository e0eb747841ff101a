"""The resolved configuration of every stage as a small JSON file, on which DVC's stages depend.

They do not depend on keys of params.yaml, because DVC compares every key with every value in that file, which took most
of `dvc status`. A file changes exactly when the fingerprint of its stage does, and has the same bytes on every machine.
`transgan resolve` writes them, as the first stage of dvc.yaml.
"""

import logging

from transgan.config.plan import Plan
from transgan.pipeline.stages import Stage, stages
from transgan.utils import files

logger = logging.getLogger(__name__)


def text(plan: Plan, stage: Stage) -> str:
    """A stage's fingerprint and what that is a digest of, as the text of a JSON file."""
    return files.dumps({"fingerprint": stage.fingerprint, "ingredients": plan.ingredients(stage.verb, stage.subject)})


def write(plan: Plan) -> None:
    """Write the file of every scheduled stage, and remove those of stages that are no longer scheduled.

    Files that have the right content are left alone, so their times tell when a configuration changed.
    """
    texts = {plan.paths.resolved_config(stage.verb, stage.name): text(plan, stage) for stage in stages(plan).values()}
    changed = [path for path, content in texts.items() if not path.is_file() or path.read_text() != content]
    for path in changed:
        files.write_text(path, texts[path])
    gone = [path for path in plan.paths.resolved.glob("*/*.json") if path not in texts]
    for path in gone:
        path.unlink()
    if changed or gone:
        logger.info(
            f"resolve: {len(changed)} of {len(texts)} configurations of scale {plan.scale_name} new or changed"
            + (f", {len(gone)} removed" if gone else "")
        )
