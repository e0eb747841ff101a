"""Step: FID-768 of the real run's generator, and how fast references and scores are computed. FID-768 is not FID."""

import os
import time
from pathlib import Path

from gpu import project
from gpu.step import Step, main
from transgan.config import plan as plans
from transgan.scoring import reference, score
from transgan.utils import files
from transgan.utils.console import configure_logging


def run(step: Step) -> None:
    """Compute the reference, with its floor, and score the generator."""
    configure_logging()
    generator = step.earlier("real_run").get("generator")
    if generator is None:
        raise SystemExit("the step real_run has left no generator")
    os.chdir(project.folder(step.work))
    plan = plans.load(scale=project.SCALE)
    start = time.monotonic()
    reference.compute(plan, plan.run(project.RUN).reference)
    seconds = time.monotonic() - start
    count = plan.protocol(project.PROTOCOL).samples
    step.record(images=count, reference_images_per_second=count / seconds)
    start = time.monotonic()
    content = files.read_json(score.score_file(plan, Path(generator), project.RUN))
    settings = content["settings"][project.PROTOCOL]
    step.record(
        score_images_per_second=count / (time.monotonic() - start),
        title=settings["titles"]["fid"],
        fid=content["protocols"][project.PROTOCOL]["fid"]["values"][0],
        floor=settings["floor"],
        trained_images=step.earlier("real_run")["trained_images"],
    )
    floor = "" if settings["floor"] is None else f" (floor {settings['floor']:.3f})"
    step.record(
        summary=f"{step.recorded['title']} {step.recorded['fid']:.3f}{floor}, {count:,} samples,"
        f" {step.recorded['score_images_per_second']:,.0f} images/s"
    )


if __name__ == "__main__":
    main(run)
