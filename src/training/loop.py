"""Train a network epoch by epoch."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.augmentation import Augment
from src.config import Config
from src.data.splits import Split, Splits
from src.training.device import pick_execution
from src.training.evaluate import predict, score
from src.training.graph import GraphedSteps
from src.training.history import History
from src.training.optimizers import Schedule
from src.training.step import make_step
from src.training.streams import DropoutStream, generator, order_seed, stream_seed

Metrics = dict[str, float]


class Diverged(ArithmeticError):
    """The error that ends a job if its loss or penalty becomes infinite or NaN."""


def train(
    model: nn.Module,
    splits: Splits,
    optimizer: Optimizer,
    schedule: Schedule,
    config: Config,
    *,
    augment: Augment | None = None,
    first_epoch: int = 1,
    after_step: Callable[[int, History], None] = lambda epoch, history: None,
) -> Iterator[tuple[int, Metrics]]:
    """Train the network on its device, and yield each epoch's number and metrics.

    Epochs count from 1, and `first_epoch` is larger if the job resumes.  `after_step` is called after each step with
    the epoch's number and its history.  Training does not use the test split.  On an NVIDIA GPU, call `train` inside
    `own_stream(device)`.  Raises Diverged, which names the epoch and the step, if a loss is infinite or NaN.
    """
    device, batch_size = next(model.parameters()).device, config.data.batch_size
    train_split = splits.train.to(device)  # copies all images once, so no step waits for a copy
    dropout, augment_generator = DropoutStream(device, repeats=config.reg.sam > 0), torch.Generator(device)
    step, seed = make_step(model, optimizer, config, dropout), order_seed(config)

    def train_batch(indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images, target = train_split.batch(indices)
        if augment:
            images, target = augment(images, target, augment_generator)
        return step(images, target)

    uses_graphs = pick_execution(config.execution, device, capturable=config.optimizer.capturable) == "graph"
    graphs = GraphedSteps(train_batch, optimizer, dropout, augment_generator) if uses_graphs else None
    for epoch in range(first_epoch, config.epochs + 1):
        dropout.seed(stream_seed(seed, "dropout", epoch))
        augment_generator.manual_seed(stream_seed(seed, "augment", epoch))
        batches = draw_batches(len(train_split), batch_size, seed, epoch).to(device)
        history = History(len(batches))
        started = time.perf_counter()
        model.train()
        if config.norm.start_epoch(model, epoch, config.epochs) and graphs:
            graphs.forget()
        if graphs:
            graphs.run(batches, history, schedule, partial(after_step, epoch, history))
        else:
            for indices in batches:  # (batch,)
                history.append(*train_batch(indices))
                schedule.step()
                after_step(epoch, history)
        metrics = epoch_metrics(history.steps(), epoch, batch_size)
        seconds = time.perf_counter() - started  # epoch_metrics has waited for the device to finish
        with evaluation_state(model, optimizer, train_split, config, epoch):
            metrics |= validate(model, splits.validation, epoch)
        yield epoch, metrics | {"time/train_seconds": seconds}


def draw_batches(images: int, batch_size: int, seed: int, epoch: int) -> Tensor:
    """Return the indices of each step's images (steps, batch), in random order and without an incomplete batch."""
    steps = images // batch_size
    order = torch.randperm(images, generator=generator(seed, "order", epoch))
    return order[: steps * batch_size].view(steps, batch_size)


@contextlib.contextmanager
def evaluation_state(
    model: nn.Module, optimizer: Optimizer, split: Split, config: Config, epoch: int
) -> Iterator[None]:
    """Give a network the weights and norm statistics that evaluation uses, and restore those of training at the end.

    Some optimizers evaluate other weights than they train, such as averaged weights.  They have a method
    `evaluation_weights()`, which returns a context in which the network's parameters hold these weights.  The norm
    statistics are recomputed for these weights, from the training images `split` in the batches of `epoch`.
    For any other optimizer, this does nothing.
    """
    if not hasattr(optimizer, "evaluation_weights"):
        yield
        return
    batches = draw_batches(len(split), config.data.batch_size, order_seed(config), epoch).to(split.images.device)
    buffers = list(model.buffers())
    training_buffers = [buffer.clone() for buffer in buffers]
    with optimizer.evaluation_weights():
        config.norm.settle(model, (split.batch(indices)[0] for indices in batches))
        try:
            yield
        finally:
            for buffer, value in zip(buffers, training_buffers, strict=True):
                buffer.copy_(value)


def epoch_metrics(steps: Tensor, epoch: int, batch_size: int) -> Metrics:
    """Return an epoch's mean loss, mean penalty and accuracy from its loss, penalty and hits per step (steps, 3).

    Raises Diverged if a loss or a penalty is infinite or NaN.
    """
    finite = steps.isfinite().all(dim=1)
    if not finite.all():
        step = int(finite.int().argmin())
        loss, penalty, _ = steps[step].tolist()
        raise Diverged(f"in epoch {epoch}, step {step + 1}, the loss was {loss:g} and the penalty {penalty:g}")
    loss, penalty, hits = steps.mean(dim=0).tolist()
    return {"train/loss": loss, "train/penalty": penalty, "train/accuracy": hits / batch_size}


def validate(model: nn.Module, split: Split, epoch: int) -> Metrics:
    """Return a network's loss and accuracy on the validation images; raises Diverged for an infinite or NaN loss."""
    loss, accuracy = score(predict(model, split, next(model.parameters()).device), split.labels)
    if not math.isfinite(loss):
        raise Diverged(f"after epoch {epoch} the validation loss was {loss:g}")
    return {"val/loss": loss, "val/accuracy": accuracy}
