"""TrivialAugmentWide (Müller & Hutter 2021): one operation per image, with a random strength.

The operations and strengths are those of torchvision's `TrivialAugmentWide`, which draws once per call; here each image
draws its own.  A loop over images or operations would be slow, and a GPU would wait at each one.  So each image passes
through three steps, which leave it unchanged unless it has drawn one of their operations:

1. a table with a new value for each of the 256 values of a pixel: brightness, posterize, solarize, autocontrast,
   equalize;
2. a weighted sum of the image and another one: color, contrast, sharpness;
3. the gather of the random crop and flip, which an affine map tells where to find each pixel: shear, translate, rotate.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from src.augmentation.modules.crops import draw_crops, take_pixels

STRENGTHS = 31  # the number of strengths of each operation
OPERATIONS = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast"),
    *("sharpness", "posterize", "solarize", "autocontrast", "equalize"),
)
GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


class Choices(NamedTuple):
    """Combinations of operation, strength and sign: all of them, or those that the images of a batch have drawn."""

    operation: Tensor  # index in OPERATIONS (choices,)
    values: Tensor  # the new value for each value of a pixel (choices, 256)
    shares: Tensor  # weights of the image and of the other one in a weighted sum (choices, 2)
    matrix: Tensor  # maps x and y in the result to x and y in the image; both start in the middle (choices, 2, 2)
    shift: Tensor  # pixels to add to x and y in the image (choices, 2)
    relative_shift: Tensor  # widths of the image to add to x, and heights to add to y (choices, 2)


class TrivialAugment:
    """The function that augments images which are pixels (0 to 255) minus `mean`, divided by `deviation` (C, 1, 1)."""

    def __init__(self, padding: int, flip: bool, mean: Tensor, deviation: Tensor) -> None:
        self._padding, self._flip = padding, flip
        self._mean, self._deviation = mean, deviation
        self._choices = Choices(*(field.to(mean.device) for field in make_choices()))

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the augmented images (N, C, H, W), channels last in memory, and the unchanged labels."""
        count, device = len(images), images.device
        drawn = torch.randint(len(self._choices.operation), (count,), generator=generator, device=device)
        rows, columns = draw_crops(images, self._padding, self._flip, generator)
        choices = Choices(*(field.index_select(0, drawn) for field in self._choices))
        pixels = (images.contiguous() * self._deviation + self._mean).round().clamp(0, 255)  # fastest by channel
        pixels = apply_blends(apply_tables(pixels, choices), choices)
        images, black = ((values - self._mean) / self._deviation for values in (pixels, torch.zeros_like(self._mean)))
        return take_transformed(images, black, choices, rows, columns), labels


def make_choices() -> Choices:
    """Return all combinations of operation, strength and sign, which are equally likely."""
    rows = [
        _choice(operation, strength, sign)
        for operation in OPERATIONS
        for strength in range(STRENGTHS)
        for sign in (1, -1)
    ]
    return Choices(*(torch.stack(column) for column in zip(*rows, strict=True)))


def _choice(operation: str, strength: int, sign: int) -> Choices:
    """Return the numbers of one combination; `strength` is 0 to 30, and the signs are 1 and -1."""
    values, shares = torch.arange(256.0), (1.0, 0.0)
    matrix, shift, relative_shift = [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], [0.0, 0.0]
    level = sign * torch.linspace(0, 0.99, STRENGTHS)[strength].item()
    match operation:
        case "shear_x":  # the upper edge stays in its place
            matrix[0][1], relative_shift[0] = level, level / 2
        case "shear_y":
            matrix[1][0], relative_shift[1] = level, level / 2
        case "translate_x" | "translate_y":
            shift["xy".index(operation[-1])] = -float(int(sign * torch.linspace(0, 32, STRENGTHS)[strength].item()))
        case "rotate":
            angle = math.radians(sign * torch.linspace(0, 135, STRENGTHS)[strength].item())
            matrix = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        case "brightness":
            values = ((1 + level) * values).clamp(0, 255).floor()
        case "color" | "contrast" | "sharpness":
            shares = (1 + level, 1 - (1 + level))
        case "posterize":
            step = 2 ** round(strength / ((STRENGTHS - 1) / 6))
            values = values // step * step
        case "solarize":
            threshold = torch.linspace(255, 0, STRENGTHS)[strength]
            values = torch.where(values >= threshold, 255 - values, values)
    numbers = (torch.tensor(numbers) for numbers in (shares, matrix, shift, relative_shift))
    return Choices(torch.tensor(OPERATIONS.index(operation)), values, *numbers)


def _has_drawn(choices: Choices, operation: str) -> Tensor:
    """Return whether each image has drawn this operation (N, 1, 1)."""
    return (choices.operation == OPERATIONS.index(operation))[:, None, None]


def apply_tables(pixels: Tensor, choices: Choices) -> Tensor:
    """Return pixels (N, C, H, W) after the operations that replace each value of a channel by another one."""
    (count, channels), device = pixels.shape[:2], pixels.device
    table = torch.arange(count * channels, device=device).view(count, channels, 1, 1)
    entries = (table * 256 + pixels.long()).flatten()  # index of each pixel in all tables
    histograms = torch.zeros(count * channels * 256, dtype=torch.long, device=device)  # integers: the sums are exact
    histograms.scatter_add_(0, entries, torch.ones((), dtype=torch.long, device=device).expand(len(entries)))
    histograms = histograms.view(count, channels, 256)
    values = choices.values[:, None]
    values = torch.where(_has_drawn(choices, "autocontrast"), _autocontrast(histograms), values)
    values = torch.where(_has_drawn(choices, "equalize"), _equalize(histograms), values)
    return values.flatten().index_select(0, entries).view(pixels.shape)


def _autocontrast(histograms: Tensor) -> Tensor:
    """Return tables that stretch the values of each channel to 0 to 255, from histograms (N, C, 256)."""
    values = torch.arange(256.0, device=histograms.device)
    lowest = torch.where(histograms > 0, values, 255).amin(dim=2, keepdim=True)
    highest = torch.where(histograms > 0, values, 0).amax(dim=2, keepdim=True)
    stretched = ((values - lowest) * (255 / (highest - lowest))).clamp(0, 255).floor()
    return torch.where(highest > lowest, stretched, values)


def _equalize(histograms: Tensor) -> Tensor:
    """Return tables that make the values of each channel equally frequent, from histograms (N, C, 256)."""
    values = torch.arange(256, device=histograms.device)
    counts = histograms.cumsum(dim=2)
    highest = torch.where(histograms > 0, values, 0).amax(dim=2, keepdim=True)
    step = (counts[:, :, -1:] - histograms.gather(2, highest)) // 255
    levels = ((counts + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, F.pad(levels[:, :, :-1], (1, 0)), values).float()


def apply_blends(pixels: Tensor, choices: Choices) -> Tensor:
    """Return pixels (N, C, H, W) after the operations that are weighted sums of an image and a duller one."""
    in_colour = pixels.shape[1] == 3
    grey = _grey(pixels) if in_colour else pixels
    changes_colour = _has_drawn(choices, "color")[..., None]
    other = torch.where(changes_colour, grey, _blurred(pixels))
    mean = grey.mean(dim=(1, 2, 3), keepdim=True)
    other = torch.where(_has_drawn(choices, "contrast")[..., None], mean, other)
    share, other_share = choices.shares.view(-1, 2, 1, 1, 1).unbind(dim=1)
    blended = (share * pixels + other_share * other).clamp(0, 255).floor()
    return blended if in_colour else torch.where(changes_colour, pixels, blended)


def _grey(pixels: Tensor) -> Tensor:
    """Return colour images (N, 3, H, W) as grey images (N, 1, H, W)."""
    red, green, blue = (weight * pixels[:, i : i + 1] for i, weight in enumerate(GREY_WEIGHTS))
    return (red + green + blue).floor()


def _blurred(pixels: Tensor) -> Tensor:
    """Return means of 3 x 3 pixels, in which the middle counts five times; the pixels at the border are unchanged."""
    sums = pixels[:, :, :-2] + pixels[:, :, 1:-1] + pixels[:, :, 2:]
    sums = sums[..., :-2] + sums[..., 1:-1] + sums[..., 2:] + 4 * pixels[:, :, 1:-1, 1:-1]
    blurred = pixels.clone()
    blurred[:, :, 1:-1, 1:-1] = (sums / 13).round()
    return blurred


def take_transformed(images: Tensor, black: Tensor, choices: Choices, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels at the rows (N, H, 1) and columns (N, 1, W) of the sheared, shifted and rotated images.

    The nearest pixel (N, C, H, W) is taken; places outside the image are `black` (C, 1, 1).
    """
    height, width = images.shape[2:]
    x, y = columns - (width - 1) / 2, rows - (height - 1) / 2
    shifts = (choices.shift[:, k] + choices.relative_shift[:, k] * size for k, size in enumerate((width, height)))
    shift_x, shift_y = (shift[:, None, None] for shift in shifts)
    (xx, xy), (yx, yy) = (row.unbind(dim=1) for row in choices.matrix.view(-1, 2, 2, 1, 1).unbind(dim=1))
    source_columns = (xx * x + xy * y + shift_x + (width - 1) / 2).round().long()
    source_rows = (yx * x + yy * y + shift_y + (height - 1) / 2).round().long()
    inside = (source_rows >= 0) & (source_rows < height) & (source_columns >= 0) & (source_columns < width)
    taken = take_pixels(images, source_rows.clamp(0, height - 1), source_columns.clamp(0, width - 1))
    return torch.where(inside[:, None], taken, black)
