"""Schedule-free AdamW is compared with algorithm 1 of its paper, written with NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from src.bad_input import BadInput
from src.config import Regularization, check_config
from src.data.sources import load
from src.data.splits import make_splits
from src.options import OneCycle, ScheduleFree
from src.training.device import pick_execution
from src.training.loop import evaluation_state, train
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule

LR, BETA1, BETA2, EPS, WARMUP = 0.02, 0.9, 0.99, 1e-8, 3
GRADIENTS = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def settings(**changes: float) -> ScheduleFree:
    return ScheduleFree(**{"lr": LR, "beta1": BETA1, "beta2": BETA2, "eps": EPS, "warmup_steps": WARMUP, **changes})


def moved(weight_decay: float = 0.0):
    """A weight that starts at 0, and its optimizer, after a step with each gradient."""
    layer = nn.Linear(4, 3).double()
    nn.init.zeros_(layer.weight)
    optimizer = make_optimizer(layer, settings(), Regularization(weight_decay=weight_decay))
    for gradient in GRADIENTS:
        layer.weight.grad = gradient.clone()
        optimizer.step()
    return layer.weight, optimizer


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_training_and_evaluation_use_the_points_of_the_papers_algorithm(decay):
    x, z, square = (np.zeros((3, 4)) for _ in range(3))
    total = 0.0
    for step, gradient in enumerate(GRADIENTS.numpy(), start=1):
        rate = LR * min(step / WARMUP, 1)
        square = BETA2 * square + (1 - BETA2) * gradient**2
        y = (1 - BETA1) * z + BETA1 * x
        z = z - rate * (gradient / (np.sqrt(square / (1 - BETA2**step)) + EPS) + decay * y)
        total += rate**2
        x = x + rate**2 / total * (z - x)
    weight, optimizer = moved(decay)
    np.testing.assert_allclose(weight.detach().numpy(), (1 - BETA1) * z + BETA1 * x, rtol=1e-6)
    with optimizer.evaluation_weights():
        np.testing.assert_allclose(weight.detach().numpy(), x, rtol=1e-6)


def test_evaluation_leaves_no_trace_in_training():
    weight, optimizer = moved()
    trained = weight.detach().clone()
    evaluated = []
    for _ in range(2):
        with optimizer.evaluation_weights():
            evaluated.append(weight.detach().clone())
        assert torch.equal(weight, trained)
    assert torch.equal(*evaluated)
    assert not torch.allclose(evaluated[0], trained, rtol=1e-3)


def test_before_the_first_step_evaluation_uses_the_initial_weights():
    layer = nn.Linear(4, 3)
    initial = layer.weight.detach().clone()
    with make_optimizer(layer, settings(), Regularization()).evaluation_weights():
        assert torch.equal(layer.weight, initial)


@pytest.fixture
def job(config):
    config.optimizer = settings()
    images = load(config.data)
    splits = make_splits(config.data, images)
    model = make_network(config, images.source)
    optimizer = make_optimizer(model, config.optimizer, config.reg)
    steps = len(splits.train) // config.data.batch_size
    return model, splits, optimizer, make_schedule(optimizer, config.schedule, config.epochs, steps)


def test_the_loop_validates_at_the_average(job, config):
    model, splits, optimizer, schedule = job
    for epoch, metrics in train(model, splits, optimizer, schedule, config):
        with evaluation_state(model, optimizer, splits.train, config, epoch):
            model.eval()
            logits = model(splits.validation.normalise(splits.validation.images))
        loss = nn.functional.cross_entropy(logits, splits.validation.labels)
        assert loss.item() == pytest.approx(metrics["val/loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("schedule", OneCycle(warmup=0.25), "averages the weights instead of a schedule, so not schedule=onecycle"),
        ("execution", "graph", "execution=graph would repeat the Python numbers"),
        ("optimizer", settings(beta1=0.0), "averages nothing with optimizer.beta1=0"),
    ],
)
def test_settings_that_do_not_work_are_refused(key, value, reason, config):
    config.optimizer = settings()
    check_config(config)
    setattr(config, key, value)
    with pytest.raises(BadInput, match=reason):
        check_config(config)


def test_a_gpu_runs_the_steps_without_graphs():
    assert pick_execution("auto", torch.device("cuda"), capturable=ScheduleFree.capturable) == "eager"
