"""Addresses of MLflow's pages of a scale. Without `workflowType`, MLflow opens on pages for language models."""

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.tracking.advice import advice, reason
from transgan.tracking.connection import connect
from transgan.tracking.uri import tracking_uri
from transgan.utils.secrets import mask

MODE = "workflowType=machine_learning"


def addresses(plan: Plan) -> dict[str, str]:
    """Name -> path of the page with the scale's runs, its models, its tables and of the registry of models.

    Creates the experiments if they do not exist. Raises UserError if the database cannot be used.
    """
    try:
        from transgan.tracking.tables import tables_experiment  # imports MLflow

        store = connect(plan.scale_name)
        tables = store.other(tables_experiment(plan.scale_name))
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"MLflow at {mask(tracking_uri())} cannot be used ({reason(error)}); {advice(error)}"
        ) from error
    return {
        "runs": f"/#/experiments/{store.experiment}/runs?{MODE}",
        "models": f"/#/experiments/{store.experiment}/models?{MODE}",
        "tables": f"/#/experiments/{tables.experiment}/runs?{MODE}",
        "registry": f"/#/models?{MODE}",
    }
