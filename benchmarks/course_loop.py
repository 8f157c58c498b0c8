"""The loop that courses teach, for the README's six runs: what normlab is measured against.

    python -m benchmarks.course_loop
    python -m benchmarks.course_loop --workers 2 --epochs 1

torchvision's MNIST and transforms, a DataLoader, `.item()` in every step, the test set after every epoch, one run
after another.  Network, batches, epochs, optimizer and schedule are those of normlab's defaults; like in normlab, 5,000
of the training images are held back.  Written once and then left as it is, so that ratios can be compared over time.
"""

import argparse
import gzip
import json
import shutil
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from src.models.cnn import CNN

NORMS = {
    "bn": lambda channels: nn.BatchNorm2d(channels),
    "gn": lambda channels: nn.GroupNorm(4, channels),
    "ln": lambda channels: nn.GroupNorm(1, channels),
}
STRENGTHS = (0.0, 1e-5)
BATCH, HELD_BACK, LR, WARMUP = 64, 5000, 0.02, 0.25
MEAN, SD = (0.1307,), (0.3081,)
FILES = Path(__file__).parents[1] / "src/data/mnist"


def loaders(root: Path, workers: int) -> tuple[DataLoader[tuple[Tensor, int]], DataLoader[tuple[Tensor, int]]]:
    """Training and test images, as torchvision hands them out."""
    raw = root / "MNIST/raw"
    raw.mkdir(parents=True)
    for packed in FILES.glob("*.gz"):
        with gzip.open(packed) as source, (raw / packed.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, SD)])
    train = Subset(datasets.MNIST(root, train=True, transform=transform), range(60_000 - HELD_BACK))
    test = datasets.MNIST(root, train=False, transform=transform)
    keep = workers > 0
    return (
        DataLoader(train, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=keep),
        DataLoader(test, 1000, num_workers=workers, persistent_workers=keep),
    )


def train(
    model: nn.Module,
    loader: DataLoader[tuple[Tensor, int]],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    l1: float,
) -> tuple[float, float]:
    """One epoch; returns its mean loss and accuracy."""
    model.train()
    total, correct, seen = 0.0, 0, 0
    for images, labels in loader:
        optimizer.zero_grad()
        output = model(images)
        loss = F.cross_entropy(output, labels)
        if l1 > 0:
            loss = loss + l1 * sum(weight.abs().sum() for weight in model.parameters() if weight.ndim >= 2)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(labels)
        correct += (output.argmax(dim=1) == labels).sum().item()
        seen += len(labels)
    return total / seen, correct / seen


@torch.no_grad()
def test(model: nn.Module, loader: DataLoader[tuple[Tensor, int]]) -> tuple[float, float]:
    """Mean loss and accuracy on the test images."""
    model.eval()
    total, correct, seen = 0.0, 0, 0
    for images, labels in loader:
        output = model(images)
        total += F.cross_entropy(output, labels, reduction="sum").item()
        correct += (output.argmax(dim=1) == labels).sum().item()
        seen += len(labels)
    return total / seen, correct / seen


def main() -> None:
    """The command: trains six models and prints their accuracies, as JSON in the last line."""
    parser = argparse.ArgumentParser("python -m benchmarks.course_loop")
    parser.add_argument("--workers", type=int, default=0, help="DataLoader workers (default: 0)")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    accuracies = {}
    with tempfile.TemporaryDirectory() as place:
        train_loader, test_loader = loaders(Path(place), arguments.workers)
        for norm, layer in NORMS.items():
            for l1 in STRENGTHS:
                torch.manual_seed(0)
                model = CNN(1, 10, 16, layer, 0.0, torch.Generator().manual_seed(0))
                optimizer = torch.optim.Adam(model.parameters(), LR)
                schedule = torch.optim.lr_scheduler.OneCycleLR(
                    optimizer, LR, total_steps=arguments.epochs * len(train_loader), pct_start=WARMUP
                )
                for epoch in range(1, arguments.epochs + 1):
                    loss, accuracy = train(model, train_loader, optimizer, schedule, l1)
                    test_loss, test_accuracy = test(model, test_loader)
                    print(
                        f"{norm} l1={l1:g} epoch {epoch}: {loss:.4f} {accuracy:.4f} {test_loss:.4f} {test_accuracy:.4f}"
                    )
                accuracies[f"{norm} l1={l1:g}"] = test_accuracy
    print(json.dumps(accuracies))


if __name__ == "__main__":
    main()
