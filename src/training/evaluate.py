"""Compute a network's predictions, and their loss and accuracy."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.data.splits import Split

BATCH = 250  # so many images fit into the CPU's cache; in evaluation, the batch does not affect a prediction


@torch.inference_mode()
def predict(model: nn.Module, split: Split, device: torch.device) -> Tensor:
    """Return the log-probabilities (N, classes) of a split's images, in the split's order, on the CPU."""
    model.eval()
    batches = [model(split.normalise(images).to(device)).float() for images in split.images.split(BATCH)]
    return F.log_softmax(torch.cat(batches), dim=1).cpu()


def score(log_probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy in nats and the accuracy (0 to 1), given log-probabilities and labels (N,)."""
    loss = F.nll_loss(log_probabilities, labels)
    hits = int((log_probabilities.argmax(dim=1) == labels).sum())
    return float(loss), hits / len(labels)
