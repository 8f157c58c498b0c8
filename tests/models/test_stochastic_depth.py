"""Stochastic depth is torchvision's operation, with the rates of Huang et al. 2016, in the residual networks alone."""

import copy

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from src.bad_input import BadInput
from src.config import Config, check_config
from src.data.images import Source
from src.data.sources import load
from src.data.splits import make_splits
from src.models import NETWORKS, Network
from src.models.modules.stochastic_depth import StochasticDepth
from src.models.resnet import ResNet
from src.models.vit import ViT
from src.sweep.overrides import CONF_FOLDER
from src.training.loop import train
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule
from tests.world import configuration

RESIDUAL: dict[str, Network] = {"resnet": ResNet(depth=20), "vit": ViT(width=12, depth=3, heads=2)}
SOURCE = Source("", "", 40, 10, 1, 16, ("a", "b", "c"))


def job(name: str, rate: float) -> Config:
    config = configuration("ln")
    config.model, config.reg.stochastic_depth = copy.copy(RESIDUAL[name]), rate
    check_config(config)
    return config


def operation(rate: float) -> StochasticDepth:
    module = StochasticDepth()
    module.rate = rate
    return module


def operations(model: nn.Module) -> dict[str, StochasticDepth]:
    return {name: module for name, module in model.named_modules() if isinstance(module, StochasticDepth)}


@pytest.mark.parametrize("shape", [(64, 3, 4, 4), (64, 5, 6)], ids=["maps", "tokens"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.999])
def test_outputs_and_gradients_equal_torchvisions(shape, rate):
    from torchvision.ops import stochastic_depth

    def result(compute) -> tuple[Tensor, Tensor]:
        branch = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        torch.manual_seed(2)
        output = compute(branch)
        (output**2).sum().backward()
        return output.detach(), branch.grad

    expected = result(lambda branch: stochastic_depth(branch, rate, "row"))
    for found, wanted in zip(result(operation(rate)), expected, strict=True):
        assert torch.equal(found, wanted)


def test_each_image_keeps_or_loses_its_branch_and_the_mean_stays():
    torch.manual_seed(0)
    output = operation(0.3)(torch.ones(20_000, 2, 3, dtype=torch.float64))
    rows = output.flatten(1)
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    assert set(rows[:, 0].tolist()) == {0.0, 1 / 0.7}
    assert abs(float(rows[:, 0].mean()) - 1) < 5 * (0.3 / 0.7 / 20_000) ** 0.5  # five standard deviations


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True)])
def test_evaluation_and_rate_0_change_and_draw_nothing(rate, training):
    branch, state = torch.randn(4, 3, 2, 2), torch.get_rng_state()
    assert operation(rate).train(training)(branch) is branch
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "blocks"), [("resnet", 9), ("vit", 3)])
def test_the_rates_of_the_blocks_rise_linearly_to_the_given_rate(name, blocks):
    on, off = (
        [module.rate for module in operations(make_network(job(name, rate), SOURCE)).values()] for rate in (0.3, 0)
    )
    assert on == pytest.approx([0.3 * block / blocks for block in range(1, blocks + 1)])
    assert off == [0] * blocks


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_network_that_skips_all_its_blocks_computes_with_its_shortcuts_alone(name):
    model = make_network(job(name, 0.999), SOURCE)
    for module in operations(model).values():
        module.rate = 0.999
    images = torch.rand(2, 1, 16, 16)
    torch.manual_seed(0)
    with torch.no_grad():
        found = model(images)
        if name == "resnet":
            features = model.stem(images)[:, :, ::4, ::4]
            features = torch.cat([features, torch.zeros(2, 48, 4, 4)], dim=1)
            expected = model.classifier(features.mean(dim=(2, 3)))
        else:
            tokens = model.patches(images).flatten(2).transpose(1, 2)
            tokens = torch.cat([model.class_token.expand(2, -1, -1), tokens], dim=1) + model.positions
            expected = model.classifier(model.norm(tokens)[:, 0])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_training_step_equals_one_with_torchvisions_modules(name):
    from torchvision.ops import StochasticDepth as Reference

    model = make_network(job(name, 0.5), SOURCE)
    reference = copy.deepcopy(model)
    paths = operations(reference)
    for number, path in enumerate(paths, start=1):
        reference.set_submodule(path, Reference(number / len(paths) * 0.5, "row"))
    images, labels = torch.rand(6, 1, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2])
    for network in (model, reference):
        torch.manual_seed(3)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), reference.parameters(), strict=True))


def test_a_resumed_job_has_the_bits_of_an_uninterrupted_one():
    config = job("vit", 0.5)
    config.epochs = 2
    splits = make_splits(config.data, load(config.data))

    def start():
        model = make_network(config, load(config.data).source)
        optimizer = make_optimizer(model, config.optimizer, config.reg)
        schedule = make_schedule(optimizer, config.schedule, config.epochs, len(splits.train) // config.data.batch_size)
        return model, optimizer, schedule

    whole = start()
    epochs = train(whole[0], splits, *whole[1:], config)
    next(epochs)
    saved = [copy.deepcopy(part.state_dict()) for part in whole]
    assert len(list(epochs)) == 1
    resumed = start()
    for part, state in zip(resumed, saved, strict=True):
        part.load_state_dict(state)
    torch.manual_seed(99)
    assert len(list(train(resumed[0], splits, *resumed[1:], config, first_epoch=2))) == 1
    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, resumed[0].state_dict()[name]), name
    assert not torch.equal(whole[0].state_dict()["classifier.weight"], saved[0]["classifier.weight"])


@pytest.mark.parametrize(
    "name", [name for name, network in NETWORKS.items() if name not in RESIDUAL and name != "timm"]
)
def test_networks_without_residual_blocks_refuse_it(name):
    config = configuration()
    config.model = NETWORKS[name](**OmegaConf.load(CONF_FOLDER / f"model/{name}.yaml"))
    config.reg.stochastic_depth = 0.1
    with pytest.raises(BadInput) as refused:
        check_config(config)
    assert str(refused.value).splitlines() == [
        f"normlab: reg.stochastic_depth=0.1 skips residual blocks, but normlab knows none in model={name}",
        "  allowed: model=resnet, model=vit",
        "  write: reg.stochastic_depth=0",
    ]
