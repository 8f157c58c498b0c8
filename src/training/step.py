"""Build the function that performs one training step."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from src.config import Config
from src.training.penalties import penalised_weights, penalty
from src.training.streams import DropoutStream

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""A function that trains on images (N, C, H, W) and a target, and returns the logits (N, classes), target and penalty.

The target is labels (N,) or probabilities (N, classes).  A step reads no value from the device, so it never waits for
the device.
"""


def make_step(model: nn.Module, optimizer: Optimizer, config: Config, dropout: DropoutStream) -> Step:
    """Return the function that performs one training step of a job.

    The function passes a closure to the optimizer, which computes the loss and its gradients.  A wrapper around the
    optimizer can call it a second time for the gradient at other weights.  The second call repeats the dropout masks of
    the first, and leaves running statistics alone.
    """
    weights, buffers, reg = penalised_weights(model), list(model.buffers()), config.reg
    device = weights[0].device
    no_penalty = torch.zeros((), device=device)
    loss_l1, step_l1 = (0.0, reg.l1) if reg.l1_method == "proximal" else (reg.l1, 0.0)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")

    def step(images: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs: list[tuple[Tensor, Tensor, Tensor]] = []

        def compute_gradients() -> Tensor:
            with autocast:
                logits = model(images).float()  # (N, classes)
            loss = F.cross_entropy(logits, target, label_smoothing=reg.label_smoothing)
            reported_penalty = no_penalty
            if loss_l1 or reg.l2:
                reported_penalty = penalty(weights, loss_l1, reg.l2)
                loss = loss + reported_penalty
            if step_l1:
                with torch.no_grad():
                    reported_penalty = reported_penalty + penalty(weights, step_l1, 0.0)
            optimizer.zero_grad()
            loss.backward()
            outputs.append((logits.detach(), target, reported_penalty.detach()))
            return loss

        def closure() -> Tensor:
            if not outputs:
                return compute_gradients()
            statistics = [buffer.clone() for buffer in buffers]
            with dropout.repeated():
                loss = compute_gradients()
            for buffer, value in zip(buffers, statistics, strict=True):
                buffer.copy_(value)
            return loss

        with dropout.active():
            optimizer.step(closure)  # type: ignore[arg-type]  # torch's type says float, but they accept a tensor
        return outputs[0]  # the first outputs, computed with the weights before the step

    return step
