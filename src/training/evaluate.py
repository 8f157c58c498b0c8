"""Compute a network's predictions, and their loss and accuracy."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.data.splits import Split

# In evaluation, the batch does not affect a prediction.  So many images fit into a CPU's cache, or keep a GPU busy.
BATCH, GPU_BATCH = 250, 2500


@torch.inference_mode()
def predict(model: nn.Module, split: Split, device: torch.device) -> Tensor:
    """Return the log-probabilities (N, classes) of a split's images, in the split's order, on the CPU."""
    model.eval()
    batch = BATCH if device.type == "cpu" else GPU_BATCH
    batches = [model(split.normalise(images).to(device)).float() for images in split.images.split(batch)]
    return F.log_softmax(torch.cat(batches), dim=1).cpu()


def score(log_probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy in nats and the accuracy (0 to 1), given log-probabilities and labels (N,)."""
    loss = F.nll_loss(log_probabilities, labels)
    hits = int((log_probabilities.argmax(dim=1) == labels).sum())
    return float(loss), hits / len(labels)
