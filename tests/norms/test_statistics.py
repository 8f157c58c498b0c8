"""The statistics of evaluation: recomputed (`norm.stats=precise`), and frozen (`norm.stats=frozen`)."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from src.bad_input import BadInput
from src.data.sources import load
from src.norms.bn import BatchNorm
from src.norms.ghost import GhostBatchNorm
from src.norms.modules.statistics import norm_layers, recompute_statistics
from src.training.network import make_network
from tests.norms.reference import EPS, C, layer, tokens, vectors
from tests.world import configuration

NORMS = {"bn": BatchNorm(eps=EPS, momentum=0.1), "ghost": GhostBatchNorm(eps=EPS, momentum=0.1, chunk=2)}


def network(name: str, dropout: float = 0.0) -> nn.Module:
    config = configuration()
    config.norm, config.reg.dropout = NORMS[name], dropout
    return make_network(config, load(config.data).source).double()


def images() -> list[torch.Tensor]:
    """Batches of another mean and another scale each; the last one is smaller."""
    random = torch.Generator().manual_seed(1)
    noise = torch.randn(16, 1, 28, 28, generator=random, dtype=torch.float64)
    return [(1 + k) * batch + k for k, batch in enumerate(noise.split([6, 6, 4]))]


@pytest.mark.parametrize("name", NORMS)
def test_each_layer_gets_the_mean_and_variance_of_all_its_inputs(name):
    model, seen = network(name), []
    hooks = [
        norm.register_forward_pre_hook(lambda norm, args: seen.append((norm, args[0]))) for norm in norm_layers(model)
    ]
    recompute_statistics(model, images())
    for hook in hooks:
        hook.remove()
    for norm in norm_layers(model):
        values = np.concatenate(
            [np.moveaxis(value.numpy(), 1, 0).reshape(value.shape[1], -1) for at, value in seen if at is norm], 1
        )
        np.testing.assert_allclose(norm.running_mean, values.mean(axis=1), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(norm.running_var, values.var(axis=1), rtol=1e-9)


@pytest.mark.parametrize("name", NORMS)
def test_the_means_are_those_of_torchs_update_bn(name):
    ours, theirs, batches = network(name), network(name), images()[:2]
    recompute_statistics(ours, batches)
    update_bn(batches, theirs)
    for one, other in zip(norm_layers(ours), norm_layers(theirs), strict=True):
        torch.testing.assert_close(one.running_mean, other.running_mean, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("layout", "values"), [("tokens", tokens()), ("vector", vectors())])
def test_tokens_and_vectors_have_their_channels_last(layout, values):
    norm = layer(BatchNorm(eps=EPS, momentum=0.1), layout)
    recompute_statistics(norm, [values[:2], values[2:]])
    channels = values.reshape(-1, C)
    torch.testing.assert_close(norm.running_mean, channels.mean(dim=0))
    torch.testing.assert_close(norm.running_var, channels.var(dim=0, correction=0))


def test_recomputing_leaves_no_other_trace():
    model = network("bn", dropout=0.5).train()
    model.blocks.conv2.eval()
    modes = [module.training for module in model.modules()]
    weights, random = copy.deepcopy(dict(model.named_parameters())), torch.get_rng_state()
    recompute_statistics(model, images())
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())
    (first, *_) = norm_layers(model)
    assert first.momentum == 0.1
    before = first.running_mean.clone()
    model.train()(images()[0])
    assert not torch.equal(first.running_mean, before)


def test_recomputing_twice_gives_the_same_bits():
    model = network("bn")
    recompute_statistics(model, images())
    first = copy.deepcopy(model.state_dict())
    recompute_statistics(model, images())
    assert all(torch.equal(value, first[name]) for name, value in model.state_dict().items())


def is_frozen(model: nn.Module) -> bool:
    (frozen,) = {not module.training for module in model.modules() if isinstance(module, _BatchNorm)}
    assert all(module.training for module in model.modules() if not isinstance(module, _BatchNorm))
    return frozen


@pytest.mark.parametrize(
    ("epochs", "share", "frozen"), [(10, 0.2, 2), (4, 0.2, 1), (2, 0.2, 1), (100, 0.2, 20), (5, 0.6, 3)]
)
def test_the_last_epochs_are_frozen(epochs, share, frozen):
    norm = BatchNorm(eps=EPS, momentum=0.1, stats="frozen", frozen_share=share)
    model, states, changes = network("bn"), [], []
    for epoch in range(1, epochs + 1):
        changes.append(norm.start_epoch(model.train(), epoch, epochs))
        states.append(is_frozen(model))
    assert states == [False] * (epochs - frozen) + [True] * frozen
    assert [epoch for epoch, changed in enumerate(changes, start=1) if changed] == [epochs - frozen + 1]


@pytest.mark.parametrize("stats", ["ema", "precise"])
def test_only_frozen_freezes(stats):
    norm, model = BatchNorm(eps=EPS, momentum=0.1, stats=stats), network("bn").train()
    assert not any(norm.start_epoch(model, epoch, 5) or is_frozen(model) for epoch in range(1, 6))


@pytest.mark.parametrize("kind", [BatchNorm, partial(GhostBatchNorm, chunk=4)], ids=NORMS)
def test_statistics_that_are_frozen_in_all_epochs_are_refused(kind):
    frozen = kind(eps=EPS, momentum=0.1, stats="frozen", frozen_share=0.6)
    frozen.check_training(batch_size=8, epochs=3)
    kind(eps=EPS, momentum=0.1).check_training(batch_size=8, epochs=1)
    with pytest.raises(BadInput, match=r"frozen_share=0.6 freezes all epochs \(epochs=1\)\n.*\n.*write: epochs=5"):
        frozen.check_training(batch_size=8, epochs=1)


def test_a_share_of_frozen_epochs_is_refused_where_no_epoch_is_frozen():
    for stats, share in (("frozen", 0.5), ("ema", 0.2)):
        BatchNorm(eps=EPS, momentum=0.1, stats=stats, frozen_share=share).check()
    with pytest.raises(BadInput, match=r"norm.frozen_share=0.5 has no effect with norm.stats=precise\n"):
        BatchNorm(eps=EPS, momentum=0.1, stats="precise", frozen_share=0.5).check()
