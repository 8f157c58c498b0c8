"""Train the course network on a folder of colour images with the Lightning template, as a baseline for normlab.

    python -m benchmarks.colour_template DIR
    python -m benchmarks.colour_template DIR --workers 2 --epochs 1 --limit-batches 5

`DIR` contains train/CLASS and test/CLASS with images of 32 x 32 pixels, such as CIFAR-10.  The template is that of
`lightning_template`; the network, the images and their augmentation are different.  It reads the images with
torchvision's ImageFolder, and crops and flips them with torchvision's transforms in the DataLoader.  Network, batches,
optimizer, schedule and augmentation are those of normlab's `model=course augmentation=crop_flip`, and 5,000 training
images are held out for validation.
"""

import argparse
import json
from pathlib import Path

import lightning
import torch
from torch.utils.data import Subset
from torchvision import datasets, transforms

from benchmarks.course_loop import HELD_BACK, NORMS
from benchmarks.course_net import CourseNet
from benchmarks.lightning_template import Classifier, Digits, fit_and_test

MEAN, SD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class ColourClassifier(Classifier):
    """The template's module with the course network."""

    def __init__(self, norm: str) -> None:
        super().__init__(norm, l1=0)
        self.net = CourseNet(NORMS[norm])  # type: ignore[assignment]  # both networks map images to logits


class Pictures(Digits):
    """torchvision's ImageFolder in three DataLoaders; training images are cropped and flipped."""

    def setup(self, stage: str) -> None:
        """List the image files and make the datasets."""
        if hasattr(self, "train"):
            return
        plain = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, SD)])
        augmented = transforms.Compose(
            [transforms.RandomCrop(32, padding=4, padding_mode="reflect"), transforms.RandomHorizontalFlip(), plain]
        )
        images = datasets.ImageFolder(self.root / "train", augmented)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()
        self.train = Subset(images, order[HELD_BACK:])
        self.validation = Subset(datasets.ImageFolder(self.root / "train", plain), order[:HELD_BACK])
        self.test = datasets.ImageFolder(self.root / "test", plain)


def main() -> None:
    """Train with BatchNorm, GroupNorm and LayerNorm; the last printed line has the accuracies as JSON."""
    parser = argparse.ArgumentParser("python -m benchmarks.colour_template")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--workers", type=int, default=0, help="number of DataLoader workers (default: 0)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--limit-batches", type=int, help="batches per epoch, for a quick try (default: all)")
    arguments = parser.parse_args()
    runs = {}
    for norm in NORMS:
        lightning.seed_everything(0, workers=True)
        data = Pictures(arguments.folder, arguments.workers)
        runs[norm] = fit_and_test(ColourClassifier(norm), data, norm, arguments.epochs, arguments.limit_batches)
    print(json.dumps(runs))


if __name__ == "__main__":
    main()
