"""Augment a few training images again, to show what the network sees."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from src.augmentation import Augment
from src.config import Config
from src.data.idx import Bytes
from src.data.splits import Splits
from src.training.loop import draw_batches
from src.training.streams import generator, order_seed

COUNT, DRAWS = 8, 3  # images, and how often each one is augmented


class Samples(NamedTuple):
    """Some training images, and what became of them in each draw."""

    originals: Bytes  # (images, C, H, W)
    augmented: Bytes  # (draws, images, C, H, W)
    targets: npt.NDArray[np.float32]  # probabilities of the classes, (1 + draws, images, classes); first the originals'


def augmented_samples(splits: Splits, config: Config, augment: Augment, classes: int, device: torch.device) -> Samples:
    """Return the first `COUNT` images of the first batch, and how a job's augmentation changes them.

    The first draw is what the network sees in the first step of epoch 1.  The other draws come from the same stream.
    """
    seed, train = order_seed(config), splits.train.to(device)
    batch, labels = train.batch(draw_batches(len(train), config.data.batch_size, seed, 1)[0].to(device))
    augment_generator = generator(seed, "augment", 1, device=device)
    draws = [augment(batch, labels, augment_generator) for _ in range(DRAWS)]
    mean, deviation = splits.mean.to(device), splits.deviation.to(device)
    images = torch.stack([images[:COUNT] for images, _ in [(batch, labels), *draws]])
    pixels = (images * deviation + mean).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    one_hot = torch.eye(classes, device=device)
    targets = [
        one_hot[target[:COUNT]] if target.ndim == 1 else target[:COUNT] for _, target in [(batch, labels), *draws]
    ]
    return Samples(pixels[0], pixels[1:], torch.stack(targets).cpu().numpy())
