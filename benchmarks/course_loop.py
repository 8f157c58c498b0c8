"""Train README's six runs with the loop that courses teach, as a baseline for normlab.

    python -m benchmarks.course_loop
    python -m benchmarks.course_loop --workers 2 --epochs 1

The loop uses torchvision's MNIST and transforms, a DataLoader, and `.item()` in every step.  It evaluates the test
images after every epoch and trains one run after another.  Network, batches, epochs, optimizer and schedule are
normlab's defaults; change them when the defaults change.  As in normlab, 5,000 training images are held out.  Do not
change anything else, because the ratios in LOG.md are comparable only if this loop stays the same.
"""

import argparse
import gzip
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

NORMS = {
    "bn": lambda channels: nn.BatchNorm2d(channels),
    "gn": lambda channels: nn.GroupNorm(4, channels),
    "ln": lambda channels: nn.GroupNorm(1, channels),
}
STRENGTHS = (0.0, 1e-5)
BATCH, HELD_BACK, LR, WARMUP = 128, 5000, 0.02, 0.25
MEAN, SD = (0.1307,), (0.3081,)
FILES = Path(__file__).parents[1] / "src/data/mnist"


class Net(nn.Module):
    """normlab's default network, written as in a course; takes images (N, 1, 28, 28) and returns logits (N, 10)."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 6, stride=2, bias=False)
        self.norm1 = norm(16)
        self.conv2 = nn.Conv2d(16, 32, 3, bias=False)
        self.norm2 = norm(32)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.norm3 = norm(32)
        self.fc = nn.Linear(32, 10)
        for weight in self.parameters():
            if weight.ndim >= 2:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10)."""
        x = F.relu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        x = F.relu(self.norm2(self.conv2(x)))
        x = F.relu(self.norm3(self.conv3(x)))
        logits: Tensor = self.fc(x.amax(dim=(2, 3)))
        return logits


def unpack(root: Path) -> None:
    """Unpack MNIST's files into the folder where torchvision looks for them."""
    raw = root / "MNIST/raw"
    raw.mkdir(parents=True, exist_ok=True)
    for packed in FILES.glob("*.gz"):
        with gzip.open(packed) as source, (raw / packed.stem).open("wb") as target:
            shutil.copyfileobj(source, target)


def loaders(root: Path, workers: int) -> tuple[DataLoader[tuple[Tensor, int]], DataLoader[tuple[Tensor, int]]]:
    """Return DataLoaders of the training and test images."""
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
    """Train one epoch and return its mean loss and accuracy."""
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
    """Return mean loss and accuracy on the test images."""
    model.eval()
    total, correct, seen = 0.0, 0, 0
    for images, labels in loader:
        output = model(images)
        total += F.cross_entropy(output, labels, reduction="sum").item()
        correct += (output.argmax(dim=1) == labels).sum().item()
        seen += len(labels)
    return total / seen, correct / seen


def main() -> None:
    """Train the six runs; the last printed line has their accuracies as JSON."""
    parser = argparse.ArgumentParser("python -m benchmarks.course_loop")
    parser.add_argument("--workers", type=int, default=0, help="number of DataLoader workers (default: 0)")
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    unpack(Path("data"))
    train_loader, test_loader = loaders(Path("data"), arguments.workers)
    runs = {}
    for norm, layer in NORMS.items():
        for l1 in STRENGTHS:
            torch.manual_seed(0)
            model = Net(layer)
            optimizer = torch.optim.Adam(model.parameters(), LR)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, LR, total_steps=arguments.epochs * len(train_loader), pct_start=WARMUP
            )
            reached = []  # time and test accuracy at the end of each epoch
            for epoch in range(1, arguments.epochs + 1):
                loss, accuracy = train(model, train_loader, optimizer, schedule, l1)
                test_loss, test_accuracy = test(model, test_loader)
                print(f"{norm} l1={l1:g} epoch {epoch}: {loss:.4f} {accuracy:.4f} {test_loss:.4f} {test_accuracy:.4f}")
                reached.append((time.time(), test_accuracy))
            runs[f"{norm} l1={l1:g}"] = {"accuracy": test_accuracy, "reached": reached}
    print(json.dumps(runs))


if __name__ == "__main__":
    main()
