"""Train a network epoch by epoch."""

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from src.augmentation import Augment
from src.config import Config
from src.data.splits import Split, Splits
from src.training.evaluate import predict, score
from src.training.history import History
from src.training.step import make_step
from src.training.streams import generator, order_seed, stream_seed

Metrics = dict[str, float]


class Diverged(ArithmeticError):
    """The error that ends a job if its loss or penalty becomes infinite or NaN."""


def train(
    model: nn.Module,
    splits: Splits,
    optimizer: Optimizer,
    schedule: LRScheduler,
    config: Config,
    *,
    augment: Augment | None = None,
    first_epoch: int = 1,
    after_step: Callable[[int, History], None] = lambda epoch, history: None,
) -> Iterator[tuple[int, Metrics]]:
    """Train the network on its device, and yield each epoch's number and metrics.

    Args:
        model: the network to train, on the device to train on.
        splits: the dataset; training does not use the test split.
        optimizer: changes the model's parameters after each batch.
        schedule: changes the learning rate of `optimizer` after each batch.
        config: the job's configuration.
        augment: changes each batch; None means no augmentation.
        first_epoch: the number of the first epoch; larger than 1 if the job resumes.
        after_step: a function to call after each step with the epoch's number and its history.

    Raises:
        Diverged: if a loss is infinite or NaN; the message names the epoch and the step.
    """
    device, batch_size = next(model.parameters()).device, config.data.batch_size
    train_split = splits.train.to(device)  # copies all images once, so no step waits for a copy
    steps = len(train_split) // batch_size
    step, seed = make_step(model, optimizer, config), order_seed(config)
    for epoch in range(first_epoch, config.epochs + 1):
        torch.manual_seed(stream_seed(seed, "dropout", epoch))
        augment_generator = generator(seed, "augment", epoch, device=device)
        order = torch.randperm(len(train_split), generator=generator(seed, "order", epoch)).to(device)
        history = History(steps)
        started = time.perf_counter()
        model.train()
        for images, target in batches(train_split, order, batch_size):  # (N, C, H, W), (N,)
            if augment:
                images, target = augment(images, target, augment_generator)
            logits, penalty = step(images, target)
            schedule.step()
            history.append(logits, target, penalty)
            after_step(epoch, history)
        metrics = epoch_metrics(history.steps(), epoch, batch_size)
        seconds = time.perf_counter() - started  # epoch_metrics has waited for the device to finish
        config.norm.settle(model, (images for images, _ in batches(train_split, order, batch_size)))
        val_loss, val_accuracy = score(predict(model, splits.validation, device), splits.validation.labels)
        if not math.isfinite(val_loss):
            raise Diverged(f"after epoch {epoch} the validation loss was {val_loss:g}")
        metrics |= {"val/loss": val_loss, "val/accuracy": val_accuracy, "time/train_seconds": seconds}
        yield epoch, metrics


def batches(split: Split, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images (batch, C, H, W) and labels (batch,) in the order of `order`, without an incomplete last batch."""
    for start in range(0, len(order) - batch_size + 1, batch_size):
        yield split.batch(order[start : start + batch_size])


def epoch_metrics(steps: Tensor, epoch: int, batch_size: int) -> Metrics:
    """Return an epoch's mean loss, mean penalty and accuracy from its loss, penalty and hits per step (steps, 3).

    Raises:
        Diverged: if a loss or a penalty is infinite or NaN.
    """
    finite = steps.isfinite().all(dim=1)
    if not finite.all():
        step = int(finite.int().argmin())
        loss, penalty, _ = steps[step].tolist()
        raise Diverged(f"in epoch {epoch}, step {step + 1}, the loss was {loss:g} and the penalty {penalty:g}")
    loss, penalty, hits = steps.mean(dim=0).tolist()
    return {"train/loss": loss, "train/penalty": penalty, "train/accuracy": hits / batch_size}
