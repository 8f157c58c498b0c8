"""The optimizer schedule-free AdamW of the package schedulefree, with the weights that evaluation uses."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from schedulefree import AdamWScheduleFree


class ScheduleFreeAdamW(AdamWScheduleFree):  # type: ignore[misc]  # the package has no types
    """Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682, algorithm 1); each group has its own weight decay.

    The parameters hold the point y of the gradient.  `state[parameter]["z"]` is the point of the steps.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, *, betas: tuple[float, float], eps: float, warmup_steps: int
    ) -> None:
        # The learning rate stays a Python number on a GPU, because the package compares it with Python numbers.
        groups = [group | {"capturable": False} for group in groups]
        super().__init__(groups, lr, betas=betas, eps=eps, warmup_steps=warmup_steps)
        self.train()

    @contextlib.contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Return a context in which the parameters hold the average x, with y = (1 - beta1) z + beta1 x.

        The package's `eval` and `train` compute y back from x, which changes its last bits.
        """
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        beta1 = self.param_groups[0]["betas"][0]
        with torch.no_grad():
            kept = [parameter.clone() for parameter in parameters]
            for parameter in parameters:
                if "z" in self.state[parameter]:  # before the first step, x equals y
                    parameter.lerp_(self.state[parameter]["z"], 1 - 1 / beta1)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(parameters, kept)
