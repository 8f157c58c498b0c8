"""Predictions and their scores."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.data.splits import Split

BATCH = 250  # images at once, which fit the cache; no layer looks across the batch, so the size changes no result


@torch.inference_mode()
def predict(model: nn.Module, split: Split, device: torch.device) -> Tensor:
    """Return the log-probabilities (N, classes) of all images of a split, in its order, on the CPU."""
    model.eval()
    batches = [model(images.to(device)).float() for images in split.images.split(BATCH)]
    return F.log_softmax(torch.cat(batches), dim=1).cpu()


def score(log_probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return mean cross-entropy in nats and accuracy (0 to 1) of log-probabilities (N, classes) for labels (N,)."""
    loss = F.nll_loss(log_probabilities, labels)
    hits = int((log_probabilities.argmax(dim=1) == labels).sum())
    return float(loss), hits / len(labels)
