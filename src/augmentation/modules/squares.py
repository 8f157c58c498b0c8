"""Draw a rectangle in each image, and cut it out."""

import torch
from torch import Tensor


def cut_out(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W) with one square of `side` pixels set to 0, which is the mean of the training pixels.

    Any pixel may be the centre, so a part of the square may lie outside the image (DeVries & Taylor 2017).
    """
    sides = torch.full((len(images),), side, device=images.device)
    return images * ~draw_rectangles(images, sides, sides, generator)  # `masked_fill` changes the order in memory


def draw_rectangles(images: Tensor, heights: Tensor, widths: Tensor, generator: torch.Generator) -> Tensor:
    """Return whether each pixel is in its image's rectangle (N, 1, H, W).

    The rectangles have `heights` x `widths` pixels (N,) and a random pixel as their centre.
    """
    (count, _, height, width), device = images.shape, images.device
    middle_rows = torch.randint(height, (count,), generator=generator, device=device)
    middle_columns = torch.randint(width, (count,), generator=generator, device=device)
    in_rows, in_columns = _interval(middle_rows, heights, height), _interval(middle_columns, widths, width)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def _interval(middles: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Return whether each position 0 to size - 1 is in the interval of this middle and length (N, size)."""
    starts = (middles - lengths // 2)[:, None]
    positions = torch.arange(size, device=middles.device)
    return (positions >= starts) & (positions < starts + lengths[:, None])
