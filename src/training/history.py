"""What the steps of an epoch came to."""

import torch
import torch.nn.functional as F
from torch import Tensor


class History:
    """An epoch's answers, kept as they are and worked out all at once: a step neither computes nor reads for it."""

    def __init__(self) -> None:
        self._logits, self._labels, self._penalties = list[Tensor](), list[Tensor](), list[Tensor]()

    def __len__(self) -> int:
        return len(self._logits)

    def append(self, logits: Tensor, labels: Tensor, penalty: Tensor) -> None:
        """Keep a step's logits (batch, classes), labels (batch,) and penalty."""
        self._logits.append(logits.detach())
        self._labels.append(labels)
        self._penalties.append(penalty.detach())

    def steps(self, last: int = 0) -> Tensor:
        """Loss, penalty and hits of each step, or of the `last` ones: (steps, 3), doubles on the CPU.

        The loss is without penalty and label smoothing: comparable across strengths.
        """
        logits, labels = torch.stack(self._logits[-last:]), torch.stack(self._labels[-last:])
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels).mean(dim=1)
        hits = (logits.argmax(dim=2) == labels).sum(dim=1)
        return torch.stack([losses, torch.stack(self._penalties[-last:]), hits], dim=1).cpu().double()
