"""What a network says about images that it does not learn from."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.data.splits import Split

BATCH = 250  # images at once, which stay in the cache; part of no result, since no layer looks across the batch


@torch.inference_mode()
def predict(model: nn.Module, split: Split, device: torch.device) -> Tensor:
    """Log-probabilities (N, classes) of all images of a split, in its order, on the CPU."""
    model.eval()
    batches = [model(images.to(device)).float() for images in split.images.split(BATCH)]
    return F.log_softmax(torch.cat(batches), dim=1).cpu()


def score(log_probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy from 0 to 1, of log-probabilities (N, classes) and labels (N,)."""
    loss = F.nll_loss(log_probabilities, labels)
    hits = int((log_probabilities.argmax(dim=1) == labels).sum())
    return float(loss), hits / len(labels)
