"""Crop and flip images at random, with one gather per batch."""

import torch
from torch import Tensor


def crop_and_flip(images: Tensor, padding: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Return a random crop of each image (N, C, H, W), of the same size; half of the crops are mirrored if `flip`.

    The crops are windows of the images with `padding` reflected pixels on each side, as `F.pad` adds them.
    """
    rows, columns = draw_crops(images, padding, flip, generator)
    return take_pixels(images, rows, columns)


def draw_crops(images: Tensor, padding: int, flip: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a crop for each image; return the rows (N, H, 1) and the columns (N, 1, W) that its pixels come from."""
    (count, _, height, width), device = images.shape, images.device
    offsets = torch.randint(-padding, padding + 1, (2, count, 1), generator=generator, device=device)
    rows = offsets[0] + torch.arange(height, device=device)
    columns = offsets[1] + torch.arange(width, device=device)
    if flip:
        mirrored = torch.rand((count, 1), generator=generator, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    return _reflect(rows, height)[:, :, None], _reflect(columns, width)[:, None, :]


def take_pixels(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return images (N, C, H, W) from the pixels at these rows and columns; both broadcast to (N, H, W).

    The result is channels last in memory: copying whole pixels by one flat index is twice as fast as any other way.
    """
    count, channels, height, width = images.shape
    image = torch.arange(count, device=images.device)[:, None, None]
    indices = (image * height + rows) * width + columns  # (N, H, W)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, indices.flatten())
    return pixels.view(count, height, width, channels).permute(0, 3, 1, 2)


def _reflect(indices: Tensor, size: int) -> Tensor:
    """Return indices from -size + 1 to 2 size - 2, reflected at 0 and at size - 1."""
    return (size - 1) - ((size - 1) - indices.abs()).abs()
