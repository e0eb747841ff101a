"""The running means, and their part in a checkpoint."""

import torch

from transgan.training.meter import Meter


def test_meter_means_survive_a_checkpoint():
    meter = Meter()
    meter.add(("a", "b"), torch.tensor([1.0, 2.0]))
    again = Meter()
    again.restore(meter.state(), torch.device("cpu"))
    for one in (meter, again):
        one.add(("a", "b"), torch.tensor([3.0, 6.0]))
        one.add(("a",), torch.tensor([5.0]))
        assert one.means() == {"a": 3.0, "b": 4.0}
    meter.clear()
    assert meter.means() == {}
