"""Images as a dataset, for tests that call torch-fidelity by hand."""

import torch


class Images(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Images uint8 (N, 3, H, W) as torch-fidelity takes them: one tensor each."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]
