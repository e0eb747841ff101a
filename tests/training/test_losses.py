"""The adversarial losses against numbers computed by hand."""

import torch

from transgan.training.losses import LOSSES


def test_losses():
    x = torch.tensor([-2.0, 0.0, 3.0])
    expected = {
        "wasserstein": ([2, 0, -3], [-2, 0, 3], [2, 0, -3]),
        "hinge": ([3, 1, 0], [0, 1, 4], [2, 0, -3]),
        "least_squares": ([9, 1, 4], [4, 0, 9], [9, 1, 4]),
        "non_saturating": (
            [2.126928, 0.693147, 0.048587],
            [0.126928, 0.693147, 3.048587],
            [2.126928, 0.693147, 0.048587],
        ),
    }
    assert set(expected) == set(LOSSES)
    for name, (d_real, d_fake, g_fake) in expected.items():
        loss = LOSSES[name]
        for term, values in ((loss.d_real, d_real), (loss.d_fake, d_fake), (loss.g_fake, g_fake)):
            torch.testing.assert_close(term(x), torch.tensor(values, dtype=torch.float32), atol=1e-5, rtol=0)
