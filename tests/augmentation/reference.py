"""Images to augment, and the functions of the options with their default keys."""

from pathlib import Path

import torch
from omegaconf import OmegaConf

from src.augmentation import AUGMENTATIONS, Augmentation
from src.data.idx import Bytes

PROJECT = Path(__file__).parents[2]
MEAN, DEVIATION = torch.tensor([125.3, 123.0, 113.9]).view(3, 1, 1), torch.tensor([63.0, 62.1, 66.7]).view(3, 1, 1)
CLASSES = 10


def default(name: str, **keys: object) -> Augmentation:
    """Return an option with the values of its YAML file, or with others."""
    return AUGMENTATIONS[name](**{**OmegaConf.load(PROJECT / f"conf/augmentation/{name}.yaml"), **keys})


def build(name: str, channels: int = 3, **keys: object):
    augment = default(name, **keys).build(CLASSES, MEAN[:channels], DEVIATION[:channels])
    assert augment is not None
    return augment


def pixels(count: int, channels: int = 3, size: int = 32) -> Bytes:
    """Return images (count, channels, size, size) of noise, half of them with a narrow range of values."""
    generator = torch.Generator().manual_seed(7)
    images = torch.randint(0, 256, (count, channels, size, size), generator=generator)
    images[::2] = 60 + images[::2] // 3
    return images.to(torch.uint8).numpy()


def normalised(images: Bytes) -> torch.Tensor:
    """Return images as training sees them: normalised floats, channels last in memory."""
    channels = images.shape[1]
    floats = torch.from_numpy(images.copy()).float().sub_(MEAN[:channels]).div_(DEVIATION[:channels])
    return floats.contiguous(memory_format=torch.channels_last)


def labels(count: int) -> torch.Tensor:
    return torch.arange(count) % CLASSES


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
