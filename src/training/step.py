"""Build the function that performs one training step."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from src.config import Config
from src.training.penalties import loss_strengths, penalised_weights, penalty

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A function that trains on images (N, C, H, W) and a target, and returns the logits (N, classes) and the penalty.

The target is labels (N,) or probabilities (N, classes).  A step reads no value from the device, so it never waits for
the device.
"""


def make_step(model: nn.Module, optimizer: Optimizer, config: Config) -> Step:
    """Return the function that performs one training step of a job.

    The function passes a closure to the optimizer, which computes the loss and its gradients.  A wrapper around the
    optimizer can call it twice for a second gradient, or change the weights after the step.
    """
    weights, strengths = penalised_weights(model), loss_strengths(config)
    device = weights[0].device
    no_penalty = torch.zeros((), device=device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    smoothing = config.reg.label_smoothing

    def step(images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        outputs: list[tuple[Tensor, Tensor]] = []

        def closure() -> Tensor:
            with autocast:
                logits = model(images).float()  # (N, classes)
            loss = F.cross_entropy(logits, target, label_smoothing=smoothing)
            added_penalty = no_penalty
            if any(strengths):
                added_penalty = penalty(weights, *strengths)
                loss = loss + added_penalty
            optimizer.zero_grad()
            loss.backward()
            outputs.append((logits.detach(), added_penalty.detach()))
            return loss

        optimizer.step(closure)  # type: ignore[arg-type]  # torch's type says float, but its optimizers accept a tensor
        return outputs[0]  # the first outputs, computed with the weights before the step

    return step
