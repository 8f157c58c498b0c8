"""What a step costs where that can be counted exactly; timings stand in `benchmarks/step.py`."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from src.config import Regularization
from src.data.sources import load
from src.data.splits import make_splits
from src.options import SGD, Adam
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule
from src.training.penalties import penalised_weights, penalty

READS = {"aten._local_scalar_dense", "aten._to_copy", "aten.is_nonzero", "aten.nonzero"}  # wait for the device
ADAM = Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8)


class Operators(TorchDispatchMode):
    """Counts the calls of torch's operators."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = str(operator).rpartition(".")[0]
        only_type = name == "aten._to_copy" and not (kwargs or {}).get("device")  # which waits for nothing
        self.calls["change of type" if only_type else name] += 1
        return operator(*args, **(kwargs or {}))


def a_step(fit, config):
    """The operators that one more step of an epoch calls."""
    config.epochs, calls = 1, []
    for steps in (5, 6):
        config.data.images = config.data.validation + steps * config.data.batch_size
        with Operators() as operators:
            fit(config)
        calls.append(operators.calls)
    assert all(calls[1][name] >= calls[0][name] for name in calls[0])
    return calls[1] - calls[0]


def a_bare_step(config):
    """Those of the loop that watches nothing, on a batch that lies ready."""
    images = load(config.data)
    train = make_splits(config.data, images).train
    model = make_network(config, images.source)
    optimizer = make_optimizer(model, config.optimizer, Regularization())
    schedule = make_schedule(optimizer, config.schedule, 1, 2)
    batch, labels = train.batch(torch.arange(16))
    model.train()
    for _ in range(2):  # the first makes what the optimizer keeps
        with Operators() as operators:
            loss = F.cross_entropy(model(batch), labels)
            if config.reg.l1 or config.reg.l2:
                loss = loss + penalty(penalised_weights(model), config.reg.l1, config.reg.l2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return operators.calls


@pytest.mark.parametrize("optimizer", [ADAM, SGD(lr=0.1, momentum=0.9, nesterov=True)], ids=["adam", "sgd"])
@pytest.mark.parametrize(
    "reg",
    [
        Regularization(),
        Regularization(l1=1e-5),
        Regularization(l1=1e-5, l2=1e-4),
        Regularization(l1=1e-5, l1_method="proximal", weight_decay=0.1, clip=1.0, ema=0.9, sam=0.1),
    ],
    ids=str,
)
def test_a_step_calls_little_more_than_the_bare_loop_and_never_waits_for_the_device(optimizer, reg, config, fit):
    config.optimizer, config.reg = optimizer, reg
    ours, bare = a_step(fit, config), a_bare_step(config)
    print(ours - bare, bare - ours)
    assert not READS & (ours - bare).keys()


def test_a_read_would_be_seen():
    for read in (lambda: torch.ones(2).sum().item(), lambda: torch.ones(2).to("meta")):
        with Operators() as operators:
            read()
        assert READS & operators.calls.keys()
