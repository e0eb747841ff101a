"""Improved precision and recall (Kynkaanniemi et al. 2019), computed by torch-fidelity."""

from torch import Tensor
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from transgan.errors import UserError
from transgan.metrics.metric_value import MetricValue
from transgan.metrics.subsets import evenly_spaced
from transgan.schema import ProtocolConfig


def precision_recall(generated: Tensor, reference: Tensor, protocol: ProtocolConfig) -> dict[str, MetricValue]:
    """Precision and recall of generated features (N, D) and reference features (M, D).

    At most `prc_samples` evenly spaced ones of each are used. Raises UserError when there are too few images for the
    neighbourhood.
    """
    pair = [features[evenly_spaced(len(features), protocol.prc_samples)] for features in (generated, reference)]
    smaller = min(map(len, pair))
    if smaller <= protocol.prc_neighborhood:
        raise UserError(
            f"protocol: prc_neighborhood {protocol.prc_neighborhood} needs more images than the {smaller} available"
        )
    metric = prc_features_to_metric(
        *pair, prc_neighborhood=protocol.prc_neighborhood, prc_batch_size=10000, save_cpu_ram=True, verbose=False
    )
    return {"precision": MetricValue(metric[KEY_METRIC_PRECISION]), "recall": MetricValue(metric[KEY_METRIC_RECALL])}
