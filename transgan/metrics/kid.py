"""Kernel inception distance (KID, Binkowski et al. 2018), computed by torch-fidelity."""

from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

from transgan.errors import UserError
from transgan.metrics.metric_value import MetricValue
from transgan.schema import ProtocolConfig


def kernel_inception_distance(generated: Tensor, reference: Tensor, protocol: ProtocolConfig) -> MetricValue:
    """KID between features (N, D) and (M, D): mean and standard deviation over random subsets.

    The estimate is unbiased: between equal distributions it is often a little below zero. Raises UserError when a
    subset is larger than one of the sets.
    """
    smaller = min(len(generated), len(reference))
    if smaller < protocol.kid_subset_size:
        raise UserError(
            f"protocol: kid_subset_size {protocol.kid_subset_size:,} is more than the {smaller:,} images available; "
            "decrease it"
        )
    sizes = {"kid_subsets": protocol.kid_subsets, "kid_subset_size": protocol.kid_subset_size}
    metric = kid_features_to_metric(generated, reference, verbose=False, **sizes)
    return MetricValue(metric[KEY_METRIC_KID_MEAN], metric[KEY_METRIC_KID_STD])
