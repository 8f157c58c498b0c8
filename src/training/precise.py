"""Measure a trained network with its running averages, recompute its statistics, and measure it again."""

from torch import nn

from src.config import Config
from src.data.splits import Splits
from src.training.evaluate import BATCH, predict, score
from src.training.loop import Metrics, validate


def settle(model: nn.Module, splits: Splits, config: Config, metrics: Metrics) -> Metrics:
    """Recompute the norm's statistics after the last epoch, and return the epoch's metrics with both statistics.

    The names of metrics with the running averages end with `_ema`; the test metrics are among them, because the running
    averages are then lost.  The statistics come from the training images in their stored order, without augmentation,
    in batches of about 250: the larger a batch, the more its inputs to later layers resemble those of evaluation.
    `metrics` are those of the last epoch, with the running averages.  Raises Diverged if the validation loss is
    infinite or NaN.
    """
    device, batch_size = next(model.parameters()).device, config.data.batch_size
    loss, accuracy = score(predict(model, splits.test, device), splits.test.labels)
    averages = {
        "test/loss_ema": loss,
        "test/accuracy_ema": accuracy,
        "val/loss_ema": metrics["val/loss"],
        "val/accuracy_ema": metrics["val/accuracy"],
    }
    whole_batches = splits.train.images[: len(splits.train) // batch_size * batch_size]
    images = whole_batches.split(batch_size * max(1, BATCH // batch_size))  # norm.chunk divides each batch
    config.norm.settle(model, (splits.train.normalise(batch).to(device) for batch in images))
    return metrics | averages | validate(model, splits.validation, config.epochs)
