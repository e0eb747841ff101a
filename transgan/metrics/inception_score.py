"""Inception score (IS, Salimans et al. 2016), computed by torch-fidelity."""

from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

from transgan.metrics.metric_value import MetricValue


def inception_score(logits: Tensor, splits: int) -> MetricValue:
    """IS of class logits (N, classes): mean and standard deviation over `splits` parts of the samples."""
    metric = isc_features_to_metric(logits, splits)
    return MetricValue(metric[KEY_METRIC_ISC_MEAN], metric[KEY_METRIC_ISC_STD])
