"""Checks that a run's model, recipe, dataset and protocol fit each other."""

from typing import TYPE_CHECKING

from transgan.errors import UserError

if TYPE_CHECKING:
    from transgan.config.plan import Run


def check_fit(run: "Run", where: str) -> None:
    """Raise UserError if the model does not fit the dataset or the recipe, or the dataset lacks a split."""
    model, resolution = run.model, run.dataset.resolution
    if model.generator.resolution != resolution:
        raise UserError(
            f"{where}: the generator makes {model.generator.resolution} pixels, "
            f"the dataset {run.dataset_name} has {resolution}"
        )
    try:
        model.discriminator.check_resolution(resolution)
    except ValueError as error:
        raise UserError(f"{where}: model.discriminator: {error}") from None
    super_resolution = [name for name, term in run.recipe.regularizers.items() if term.kind == "super_resolution"]
    if super_resolution and not getattr(model.generator, "image_input", False):
        raise UserError(
            f"{where}: recipe.regularizers.{super_resolution[0]} needs a transformer generator that takes images; "
            f"set model.generator.image_input: true, or leave the regularizer out"
        )
    splits = [split.name for split in run.dataset.splits]
    for name in run.protocol.splits:
        if name not in splits:
            raise UserError(
                f"{where}: protocol {run.protocol_name} wants the split {name!r} of {run.dataset_name}, "
                f"which has: {', '.join(splits)}"
            )
