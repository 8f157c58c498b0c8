"""Train README's six runs with a PyTorch Lightning template, as a baseline for normlab.

    python -m benchmarks.lightning_template
    python -m benchmarks.lightning_template --workers 2 --epochs 1

The template has a LightningModule with torchmetrics and a DataModule with torchvision's MNIST.  It saves checkpoints of
the best and the last epoch, and logs to a SQLite file with MLFlowLogger.  It trains one run after another in one
process.  Network, batches, epochs, optimizer and schedule are normlab's defaults, and 5,000 training images are held
out for validation.  Do not change anything else, because the ratios in LOG.md are comparable only if the template
stays the same.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, random_split
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchvision import datasets, transforms

from benchmarks.course_loop import BATCH, HELD_BACK, LR, MEAN, NORMS, SD, STRENGTHS, WARMUP, Net, unpack


class Digits(lightning.LightningDataModule):
    """torchvision's MNIST in three DataLoaders."""

    def __init__(self, root: Path, workers: int) -> None:
        super().__init__()
        self.root = root
        self.loader = partial(DataLoader, num_workers=workers, persistent_workers=workers > 0)

    def setup(self, stage: str) -> None:
        """Read the image files and make the datasets."""
        if hasattr(self, "train"):
            return
        transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, SD)])
        images = datasets.MNIST(self.root, train=True, transform=transform)
        parts = (len(images) - HELD_BACK, HELD_BACK)
        self.train, self.validation = random_split(images, parts, torch.Generator().manual_seed(0))
        self.test = datasets.MNIST(self.root, train=False, transform=transform)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training images, in a new order in every epoch."""
        return self.loader(self.train, BATCH, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the validation images."""
        return self.loader(self.validation, 1000)

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test images."""
        return self.loader(self.test, 1000)


class Classifier(lightning.LightningModule):
    """The network with its loss and metrics."""

    def __init__(self, norm: str, l1: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = Net(NORMS[norm])
        self.l1 = l1
        self.train_loss, self.val_loss, self.test_loss = MeanMetric(), MeanMetric(), MeanMetric()
        self.train_acc, self.val_acc, self.test_acc = (MulticlassAccuracy(10, average="micro") for _ in range(3))
        self.val_acc_best = MaxMetric()
        self.reached: list[tuple[float, float]] = []  # time and validation accuracy at the end of each epoch

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 10)."""
        logits: Tensor = self.net(images)
        return logits

    def on_train_start(self) -> None:
        """Reset the metrics after the sanity check."""
        for metric in (self.val_loss, self.val_acc, self.val_acc_best):
            metric.reset()
        self.reached.clear()

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss with its penalty."""
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        self.train_loss(loss)
        self.train_acc(logits, labels)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.train_acc, on_step=False, on_epoch=True, prog_bar=True)
        if self.l1 > 0:
            loss = loss + self.l1 * sum(weight.abs().sum() for weight in self.net.parameters() if weight.ndim >= 2)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Update loss and accuracy."""
        self._count("val", batch, self.val_loss, self.val_acc)

    def on_validation_epoch_end(self) -> None:
        """Log the best accuracy so far."""
        accuracy = self.val_acc.compute()
        self.val_acc_best(accuracy)
        self.log("val/acc_best", self.val_acc_best.compute(), prog_bar=True)
        self.reached.append((time.time(), float(accuracy)))

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Update loss and accuracy."""
        self._count("test", batch, self.test_loss, self.test_acc)

    def _count(self, split: str, batch: tuple[Tensor, Tensor], loss: MeanMetric, accuracy: MulticlassAccuracy) -> None:
        images, labels = batch
        logits = self(images)
        loss(F.cross_entropy(logits, labels))
        accuracy(logits, labels)
        self.log(f"{split}/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log(f"{split}/acc", accuracy, on_step=False, on_epoch=True, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Return Adam with a one-cycle schedule that advances after every batch."""
        optimizer = torch.optim.Adam(self.parameters(), LR)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, pct_start=WARMUP)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit_and_test(model: Classifier, data: Digits, name: str, epochs: int, batches: int | None = None) -> dict[str, Any]:
    """Train and test one run; return its test accuracy, and the validation accuracy at the end of each epoch."""
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        limit_train_batches=batches,
        limit_val_batches=batches,
        limit_test_batches=batches,
        logger=MLFlowLogger("six", run_name=name, tracking_uri="sqlite:///mlflow.db"),
        callbacks=[ModelCheckpoint(Path("checkpoints", name), monitor="val/acc", mode="max", save_last=True)],
    )
    trainer.fit(model, datamodule=data)
    (tested,) = trainer.test(model, datamodule=data)
    return {"accuracy": tested["test/acc"], "reached": model.reached}


def main() -> None:
    """Train the six runs; the last printed line has their accuracies as JSON."""
    parser = argparse.ArgumentParser("python -m benchmarks.lightning_template")
    parser.add_argument("--workers", type=int, default=0, help="number of DataLoader workers (default: 0)")
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    unpack(Path("data"))
    runs = {}
    for norm in NORMS:
        for l1 in STRENGTHS:
            lightning.seed_everything(0, workers=True)
            name = f"{norm} l1={l1:g}"
            data = Digits(Path("data"), arguments.workers)
            runs[name] = fit_and_test(Classifier(norm, l1), data, name, arguments.epochs)
    print(json.dumps(runs))


if __name__ == "__main__":
    main()
