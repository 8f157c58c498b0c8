"""The training loop."""

import math
import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from src.config import Config
from src.data.splits import Split, Splits
from src.progress import Progress
from src.runs.checkpoint import Checkpoints
from src.runs.journal import Journal, stamp
from src.training.evaluate import predict, score
from src.training.history import History
from src.training.penalties import penalised, penalty
from src.training.streams import generator, stream_seed


class Diverged(ArithmeticError):
    """The loss became infinite or NaN."""


def train(
    model: nn.Module,
    splits: Splits,
    optimizer: Optimizer,
    schedule: LRScheduler,
    config: Config,
    checkpoints: Checkpoints,
    journal: Journal,
    progress: Progress,
) -> None:
    """Train to the end of epoch `config.epochs` on the device that the model is on, from the last checkpoint on.

    Each epoch leaves a checkpoint that carries its metrics, and then a line in the journal.

    Raises:
        Diverged: where the loss is no longer finite, naming epoch and step.
    """
    reg, batch_size = config.reg, config.data.batch_size
    strengths = (reg.l1, 0.0 if config.optimizer.name == "adamw" else reg.l2)  # AdamW decays the weights itself
    weights = penalised(model)
    device = weights[0].device
    extra = torch.zeros((), device=device)  # what a penalty adds to the loss
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    train_split = splits.train.to(device)  # all of it, so that no step waits for a copy
    first = resume(checkpoints, journal) + 1
    for epoch in range(first, config.epochs + 1):
        torch.manual_seed(stream_seed(config.seed, "dropout", epoch))
        order = torch.randperm(len(splits.train), generator=generator(config.seed, "order", epoch))
        history = History()
        started = time.perf_counter()
        model.train()
        for images, labels in batches(train_split, order.to(device), batch_size):  # (N, C, H, W), (N,)
            with autocast:
                logits = model(images).float()  # (N, classes)
            loss = F.cross_entropy(logits, labels, label_smoothing=reg.label_smoothing)
            if any(strengths):
                extra = penalty(weights, *strengths)
                loss = loss + extra
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            history.append(logits, labels, extra)
            progress.step(epoch, history)
        train_metrics = means(history.steps(), epoch, batch_size)  # reads the device, so the clock stops behind it
        seconds = time.perf_counter() - started
        val_loss, val_accuracy = score(predict(model, splits.validation, device), splits.validation.labels)
        if not math.isfinite(val_loss):
            raise Diverged(f"after epoch {epoch} the validation loss was {val_loss:g}")
        validation = {"val/loss": val_loss, "val/accuracy": val_accuracy}
        metrics = {**train_metrics, **validation, "time/train_seconds": seconds}
        record = stamp("epoch", epoch=epoch, metrics=metrics)
        checkpoints.save(record)
        journal.append(record)
        progress.epoch(epoch, metrics, images=len(history) * batch_size)


def resume(checkpoints: Checkpoints, journal: Journal) -> int:
    """Restore the newest checkpoint and return its epoch, 0 for none; its line is added where the journal lacks it."""
    record = checkpoints.restore()
    if record is None:
        return 0
    journal.append(record)
    return int(record["epoch"])


def batches(split: Split, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (batch, C, H, W) and labels (batch,) in the given order; the incomplete last batch is left out."""
    rows = split.images.permute(0, 2, 3, 1)  # (N, H, W, C), as they lie in memory: whole rows are gathered fastest
    for start in range(0, len(order) - batch_size + 1, batch_size):
        chosen = order[start : start + batch_size]
        yield rows.index_select(0, chosen).permute(0, 3, 1, 2), split.labels.index_select(0, chosen)


def means(steps: Tensor, epoch: int, batch_size: int) -> dict[str, float]:
    """Mean loss, mean penalty and accuracy of an epoch's steps (steps, 3).

    Raises:
        Diverged: where a loss or a penalty is not finite.
    """
    finite = steps.isfinite().all(dim=1)
    if not finite.all():
        step = int(finite.int().argmin())
        loss, extra, _ = steps[step].tolist()
        raise Diverged(f"in epoch {epoch}, step {step + 1}, the loss was {loss:g} and the penalty {extra:g}")
    loss, extra, hits = steps.mean(dim=0).tolist()
    return {"train/loss": loss, "train/penalty": extra, "train/accuracy": hits / batch_size}
