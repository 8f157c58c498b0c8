import copy
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from src.config import Regularization
from src.data.sources import load
from src.data.splits import make_splits
from src.options import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Lion,
    Muon,
    NAdam,
    OneCycle,
    Optimizer,
    RMSprop,
    Schedule,
    ScheduleFree,
    Step,
)
from src.training.loop import evaluation_state, train
from src.training.network import make_network
from src.training.optimizers import lr_factor, make_optimizer, make_schedule

OPTIMIZERS = {
    "sgd": SGD(lr=0.1, momentum=0.9, nesterov=True),
    "adam": Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
    "adamw": AdamW(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
    "rmsprop": RMSprop(lr=0.003, momentum=0.5, alpha=0.99, eps=1e-8),
    "nadam": NAdam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=0.004),
    "muon": Muon(lr=0.02, adam_lr=0.01, momentum=0.9, nesterov=True, beta1=0.9, beta2=0.999, eps=1e-8),
    "lion": Lion(lr=0.002, beta1=0.9, beta2=0.99),
    "schedulefree": ScheduleFree(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8, warmup_steps=2),
}
CHANGES = {
    "sgd": {"lr": 0.2, "momentum": 0.8, "nesterov": False},
    "adam": {"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 0.1},
    "adamw": {"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 0.1},
    "rmsprop": {"lr": 0.01, "momentum": 0.0, "alpha": 0.9, "eps": 0.1},
    "nadam": {"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 0.1, "momentum_decay": 0.5},
    "muon": {
        **{"lr": 0.01, "adam_lr": 0.02, "momentum": 0.5, "nesterov": False},
        **{"beta1": 0.8, "beta2": 0.9, "eps": 0.1},
    },
    "lion": {"lr": 0.01, "beta1": 0.999, "beta2": 0.1},
    "schedulefree": {"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 0.1, "warmup_steps": 0},
}
SCHEDULES = {
    "constant": Constant(),
    "step": Step(step_epochs=2, gamma=0.3),
    "cosine": Cosine(),
    "onecycle": OneCycle(warmup=0.25),
}


def moved(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.Tensor:
    """The weights after three steps, each with a gradient that points elsewhere and is smaller than the one before."""
    images = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
    for number in range(3):
        optimizer.zero_grad()
        (0.5**number * (model(images) - (-3) ** number).square().mean()).backward()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def network() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3), nn.Linear(3, 2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return model.double()


def result(settings: Optimizer) -> torch.Tensor:
    model = network()
    return moved(make_optimizer(model, settings, Regularization()), model)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("sgd", partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True)),
        ("adam", partial(torch.optim.Adam, lr=0.02, betas=(0.9, 0.999), eps=1e-8)),
        ("adamw", partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)),
        ("rmsprop", partial(torch.optim.RMSprop, lr=0.003, alpha=0.99, eps=1e-8, momentum=0.5)),
        ("nadam", partial(torch.optim.NAdam, lr=0.02, betas=(0.9, 0.999), eps=1e-8, momentum_decay=0.004)),
    ],
)
def test_an_optimizer_is_torchs_own(name, theirs):
    def their_result(**options):
        reference = network()
        return moved(theirs(reference.parameters(), **options), reference)

    fused = {} if name in ("rmsprop", "nadam") else {"fused": True}
    assert torch.equal(result(OPTIMIZERS[name]), their_result(**fused))
    torch.testing.assert_close(result(OPTIMIZERS[name]), their_result(foreach=False), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, changes in CHANGES.items() for key in changes])
def test_no_setting_of_an_optimizer_is_ignored(name, key):
    changed = replace(OPTIMIZERS[name], **{key: CHANGES[name][key]})
    assert not torch.equal(result(changed), result(OPTIMIZERS[name]))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_is_trained_once(name):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(2, 2))
    groups = make_optimizer(model, OPTIMIZERS[name], Regularization(weight_decay=0.1)).param_groups
    trained = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(trained) == sorted(id(parameter) for parameter in model.parameters())


def rates(schedule: LRScheduler, total: int) -> list[float]:
    """The learning rate of each step."""
    found = []
    for _ in range(total):
        found.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        if len(found) < total:
            schedule.step()
    return found


def ours(settings: Schedule, epochs: int, steps: int) -> list[float]:
    return rates(make_schedule(torch.optim.SGD(network().parameters(), 0.1), settings, epochs, steps), epochs * steps)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 10), (3, 7), (2, 100)])
@pytest.mark.parametrize("warmup", [0.2, 0.25, 0.5, 0.9])
def test_onecycle_is_torchs(warmup, epochs, steps):
    optimizer = torch.optim.SGD(network().parameters(), 0.1)
    reference = OneCycleLR(optimizer, 0.1, total_steps=epochs * steps, pct_start=warmup, cycle_momentum=False)
    expected = rates(reference, epochs * steps)
    assert ours(OneCycle(warmup=warmup), epochs, steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 10), (3, 7)])
def test_cosine_is_torchs(epochs, steps):
    optimizer = torch.optim.SGD(network().parameters(), 0.1)
    expected = rates(CosineAnnealingLR(optimizer, T_max=epochs * steps), epochs * steps)
    assert ours(SCHEDULES["cosine"], epochs, steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("step_epochs", [1, 2, 5])
def test_step_is_torchs_counted_in_epochs(step_epochs):
    optimizer = torch.optim.SGD(network().parameters(), 0.1)
    expected = rates(StepLR(optimizer, step_size=step_epochs * 3, gamma=0.3), 18)
    assert ours(Step(step_epochs=step_epochs, gamma=0.3), 6, 3) == pytest.approx(expected, rel=1e-9)


def test_constant_stays():
    assert ours(SCHEDULES["constant"], 2, 3) == [0.1] * 6


@pytest.mark.parametrize("warmup", [1e-6, 0.25, 0.5, 0.999999])
def test_onecycle_is_defined_for_any_number_of_steps(warmup):
    for total in range(1, 30):
        settings = OneCycle(warmup=warmup)
        factors = [lr_factor(settings, step, total, 1) for step in range(total + 1)]
        assert all(math.isfinite(factor) and 1 / 250_000 <= factor <= 1 + 1e-12 for factor in factors), total
        assert factors[0] == pytest.approx(1 / 25)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_defined_from_one_step_on(name):
    for epochs, steps in ((1, 1), (1, 2), (2, 1), (5, 1), (1, 9)):
        assert all(0 < rate <= 0.1 for rate in ours(SCHEDULES[name], epochs, steps))


def test_onecycle_spends_its_warmup_share_rising():
    found = ours(OneCycle(warmup=0.25), 1, 100)
    assert found.index(max(found)) == 24
    assert max(found) == pytest.approx(0.1)
    assert found[-1] == pytest.approx(0.1 / 250_000)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rates_of_the_next_steps_are_those_that_the_steps_have(name):
    singly, at_once = (
        make_schedule(torch.optim.SGD(network().parameters(), 0.1), SCHEDULES[name], 3, 7) for _ in range(2)
    )
    for schedule in (singly, at_once):
        schedule.optimizer.step()
        schedule.step()
    expected = rates(singly, 8)
    assert at_once.next_rates(8).tolist() == torch.tensor([expected]).tolist()  # as 32-bit floats
    at_once.skip(7)
    assert at_once.optimizer.param_groups[0]["lr"] == expected[-1]
    assert at_once.last_epoch == singly.last_epoch


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_from_a_gpu_can_be_loaded_on_the_cpu(name):
    """On a GPU the learning rate is a tensor, and the optimizer is capturable."""
    optimizer = make_optimizer(network(), OPTIMIZERS[name], Regularization())
    state, lr = optimizer.state_dict(), optimizer.param_groups[0]["lr"]
    for group in state["param_groups"]:
        group.update(lr=torch.tensor(0.5), capturable=True)
    optimizer.load_state_dict(state)
    group = optimizer.param_groups[0]
    assert (group["lr"], type(group["lr"])) == (0.5, float)
    assert not group.get("capturable") or name in ("sgd", "lion", "muon")  # these need no setting for a graph
    assert lr != 0.5
    moved(optimizer, network())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_job_continues_with_equal_bits(name, config, tmp_path):
    """The parts of the resumed job are made anew, as in a new process, and load what the first job has saved."""
    config.optimizer, images = OPTIMIZERS[name], load(config.data)
    config.reg = Regularization(clip=1.0, weight_decay=0.01)  # these wrap the optimizer
    splits = make_splits(config.data, images)
    steps = len(splits.train) // config.data.batch_size

    def job():
        model = make_network(config, images.source).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(model, config.optimizer, config.reg)
        schedule = make_schedule(optimizer, config.schedule, config.epochs, steps)
        return model, optimizer, schedule

    def end(model, optimizer, schedule, first_epoch, save_after=None):
        """Train; return the last loss, the weights of training, and the weights and statistics of evaluation."""
        for epoch, metrics in train(model, splits, optimizer, schedule, config, first_epoch=first_epoch):
            loss = metrics["val/loss"]
            if epoch == save_after:
                torch.save([part.state_dict() for part in (model, optimizer, schedule)], tmp_path / "state.pt")
        trained = copy.deepcopy(model.state_dict())
        with evaluation_state(model, optimizer, splits.train, config, config.epochs):
            return loss, trained, copy.deepcopy(model.state_dict())

    loss, *weights = end(*job(), first_epoch=1, save_after=1)
    resumed = job()
    for part, state in zip(resumed, torch.load(tmp_path / "state.pt", weights_only=True), strict=True):
        part.load_state_dict(state)
    resumed_loss, *resumed_weights = end(*resumed, first_epoch=2)
    assert resumed_loss == loss
    torch.testing.assert_close(resumed_weights, weights, rtol=0, atol=0)
