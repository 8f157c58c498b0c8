"""The keys of a job's regularisation, with their ranges and the values that contradict each other.

This module imports only the standard library.  The values are in `conf/regularization`; every default here means "off".
"""

from dataclasses import dataclass

from src.bad_input import BadInput
from src.schema import key


@dataclass
class Regularization:
    """The regularisation of a job: what changes the loss, the network in training, or the optimizer's step."""

    l1: float = key(0.0, at_least=0)
    l1_method: str = key("subgradient", choices=("subgradient", "proximal"))
    l2: float = key(0.0, at_least=0)
    weight_decay: float = key(0.0, at_least=0)
    dropout: float = key(0.0, at_least=0, at_most=0.999)
    label_smoothing: float = key(0.0, at_least=0, at_most=0.999)
    stochastic_depth: float = key(0.0, at_least=0, at_most=0.999)
    clip: float = key(0.0, at_least=0)
    ema: float = key(0.0, at_least=0, below=1)
    sam: float = key(0.0, at_least=0)

    def check(self, optimizer: str) -> None:
        """Raise BadInput for values that contradict each other or the optimizer."""
        if self.l1_method == "proximal" and not self.l1:
            raise BadInput("reg.l1_method=proximal has no effect with reg.l1=0", "reg.l1 above 0", "reg.l1=0.1")
        reasons = {
            "ema": "it averages the weights itself",
            "l1_method": "an average of weights has hardly any zeros",
        }
        for name, reason in reasons.items():
            value, off = getattr(self, name), getattr(type(self), name)
            if optimizer == "schedulefree" and value != off:
                problem = f"reg.{name}={value} does not work with optimizer=schedulefree: {reason}"
                raise BadInput(problem, f"reg.{name}={off}, or another optimizer", f"reg.{name}={off}")

    def warnings(self, optimizer: str, steps: int) -> list[str]:
        """Return sentences about values that are possible but surprising with this optimizer and number of steps."""
        sentences = []
        if optimizer == "adamw" and self.l2:
            sentences.append(
                f"reg.l2={self.l2:g} is a penalty in the loss, also with adamw; its decay is reg.weight_decay"
            )
        if self.sam:
            sentences.append("reg.sam needs two passes per step, so training takes twice as long")
        if self.ema and (share := 100 * self.ema**steps) > 5:
            problem = f"reg.ema={self.ema:g} needs longer training: the first weights are {share:.0f} %"
            sentences.append(f"{problem} of the average after {steps:,} steps")
        return sentences
