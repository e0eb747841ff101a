import torch
import torch.nn.functional as F

from transgan.models.resampling import average_pool, bicubic, blur, pixel_shuffle

SIDE = 6


def to_map(x: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    return x.transpose(1, 2).reshape(len(x), -1, side, side)


def to_tokens(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)


def test_each_agrees_with_torch_on_maps():
    x = torch.randn(2, SIDE * SIDE, 8)
    torch.testing.assert_close(pixel_shuffle(x, SIDE), to_tokens(F.pixel_shuffle(to_map(x), 2)))
    torch.testing.assert_close(average_pool(x, SIDE), to_tokens(F.avg_pool2d(to_map(x), 2)))
    torch.testing.assert_close(
        bicubic(x, SIDE), to_tokens(F.interpolate(to_map(x), scale_factor=2, mode="bicubic", align_corners=False))
    )


def test_the_blur_is_bicubic_upsampling_by_four_followed_by_averages():
    x = torch.randn(2, SIDE * SIDE, 3)
    literal = F.avg_pool2d(F.interpolate(to_map(x), scale_factor=4, mode="bicubic", align_corners=False), 4)
    torch.testing.assert_close(blur(x, SIDE), to_tokens(literal), atol=1e-5, rtol=1e-5)
