"""The regularisers around the optimizer's step, against their formulas and torch's own implementations."""

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from src.config import Regularization
from src.data.sources import load
from src.data.splits import make_splits
from src.options import SGD, Adam, AdamW, Cosine, Muon, RMSprop
from src.training.evaluate import predict, score
from src.training.loop import draw_batches, evaluation_state, train
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule
from src.training.penalties import penalised_weights, zero_share
from src.training.wrapper import RegularizedOptimizer

OPTIMIZERS = {
    "sgd": SGD(lr=0.1, momentum=0.9, nesterov=True),
    "adam": Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
    "adamw": AdamW(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
    "rmsprop": RMSprop(lr=0.003, momentum=0.5, alpha=0.99, eps=1e-8),
}
MUON = Muon(lr=0.02, adam_lr=0.01, momentum=0.9, nesterov=True, beta1=0.9, beta2=0.999, eps=1e-8)
PLAIN = SGD(lr=0.1, momentum=0.0, nesterov=False)
EVERY = Regularization(l1=1e-3, l1_method="proximal", weight_decay=0.1, dropout=0.3, clip=1.0, ema=0.9, sam=0.1)
EXACT = {"rtol": 1e-6, "atol": 1e-12}


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    return model.double()


def data(seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(8, 1, 6, 6, generator=random, dtype=torch.float64), torch.arange(8) % 4


def loss_of(model, seed=0):
    images, labels = data(seed)
    return F.cross_entropy(model(images), labels)


def closure_of(model, optimizer, seed=0):
    def closure():
        loss = loss_of(model, seed)
        optimizer.zero_grad()
        loss.backward()
        return loss

    return closure


def steps(model, settings, reg, count=4):
    """Take some steps with a falling learning rate; yield it and the optimizer after each step."""
    optimizer = make_optimizer(model, settings, reg)
    schedule = make_schedule(optimizer, Cosine(), 1, count)
    for k in range(count):
        lr = optimizer.param_groups[0]["lr"]
        optimizer.step(closure_of(model, optimizer, k))
        yield lr, optimizer
        schedule.step()


def after(settings, reg, count=4):
    """The parameters after some steps."""
    model = network()
    for _ in steps(model, settings, reg, count):
        pass
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_a_regulariser_of_the_step_the_optimizer_is_torchs_own(name):
    reg = Regularization(l1=1e-3, l2=1e-3, dropout=0.1, label_smoothing=0.1)
    assert not isinstance(make_optimizer(network(), OPTIMIZERS[name], reg), RegularizedOptimizer)


def test_weight_decay_around_adam_is_adamw():
    """The reference is torch's AdamW, in one group per kind of parameter."""
    reg = Regularization(weight_decay=0.5)
    expected = after(OPTIMIZERS["adamw"], reg)
    torch.testing.assert_close(after(OPTIMIZERS["adam"], reg), expected, **EXACT)
    assert any(
        not torch.equal(a, b) for a, b in zip(after(OPTIMIZERS["adam"], Regularization()), expected, strict=True)
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_shrinks_the_weights_alone_whatever_their_gradient(name):
    """At equal gradients, a step with decay differs from one without by lr * weight_decay * w (Loshchilov & Hutter)."""
    start, settings = network(), OPTIMIZERS[name]
    plain, decayed = after(settings, Regularization(), 1), after(settings, Regularization(weight_decay=0.5), 1)
    weights = {id(weight) for weight in penalised_weights(start)}
    for parameter, without, with_decay in zip(start.parameters(), plain, decayed, strict=True):
        shrunk = settings.lr * 0.5 * parameter.detach() if id(parameter) in weights else torch.zeros_like(parameter)
        torch.testing.assert_close(without - with_decay, shrunk, **EXACT)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_proximal_l1_is_soft_thresholding_after_the_step(name):
    model, l1 = network(), 0.3
    weights = {id(weight) for weight in penalised_weights(model)}
    before = copy.deepcopy(model)
    for lr, optimizer in steps(model, OPTIMIZERS[name], Regularization(l1=l1, l1_method="proximal"), 1):
        base = make_optimizer(before, OPTIMIZERS[name], Regularization())
        base.step(closure_of(before, base))
        for ours, theirs in zip(model.parameters(), before.parameters(), strict=True):
            w = theirs.detach().numpy()
            expected = np.sign(w) * np.maximum(np.abs(w) - lr * l1, 0) if id(ours) in weights else w
            np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=1e-12)
        assert isinstance(optimizer, RegularizedOptimizer)


def test_proximal_l1_solves_the_lasso():
    """The minimum of |w - b|^2 / 2 + l1 |w| is b, soft-thresholded; a penalty in the loss misses it."""
    target, l1 = torch.tensor([[2.0, -1.5, 0.2, -0.3, 0.0, 0.3]], dtype=torch.float64), 0.4
    solution = target.sign() * (target.abs() - l1).clamp(min=0)
    model = nn.Linear(6, 1, bias=False).double()
    optimizer = make_optimizer(model, PLAIN, Regularization(l1=l1, l1_method="proximal"))

    def closure():
        optimizer.zero_grad()
        loss = (model.weight - target).square().sum() / 2
        loss.backward()
        return loss

    for _ in range(300):
        optimizer.step(closure)
    torch.testing.assert_close(model.weight.detach(), solution, **EXACT)
    assert zero_share(model) == pytest.approx(4 / 6)


def test_clipping_scales_the_whole_gradient_to_the_norm():
    start, reference = network(), network()
    loss_of(reference).backward()
    gradients = [parameter.grad.numpy() for parameter in reference.parameters()]
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    for clip in (norm / 3, 3 * norm):
        clipped = after(PLAIN, Regularization(clip=clip), 1)
        for parameter, gradient, w in zip(start.parameters(), gradients, clipped, strict=True):
            expected = parameter.detach().numpy() - 0.1 * gradient * min(1, clip / norm)
            np.testing.assert_allclose(w.numpy(), expected, rtol=1e-5, atol=1e-7)  # torch adds 1e-6 to the norm


def test_sam_takes_the_gradient_at_the_worst_weights_nearby():
    """The reference is the paper's equations 2 and 3, in plain autograd."""
    rho, model, start = 0.2, network(), network()
    parameters = list(start.parameters())
    gradients = torch.autograd.grad(loss_of(start), parameters)
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    uphill = copy.deepcopy(start)
    with torch.no_grad():
        for parameter, gradient in zip(uphill.parameters(), gradients, strict=True):
            parameter.add_(gradient, alpha=float(rho / norm))
    second = torch.autograd.grad(loss_of(uphill), list(uphill.parameters()))
    for _ in steps(model, PLAIN, Regularization(sam=rho), 1):
        pass
    for ours, w, gradient in zip(model.parameters(), parameters, second, strict=True):
        torch.testing.assert_close(ours.detach(), w.detach() - 0.1 * gradient, **EXACT)
    assert not torch.allclose(gradients[0], second[0], rtol=1e-3)


def test_sam_restores_the_weights_to_the_last_bit():
    """With a learning rate of 0, nothing may remain of the way uphill and back."""
    model = network().float()
    before = copy.deepcopy(model)
    optimizer = make_optimizer(model, SGD(lr=0.0, momentum=0.0, nesterov=False), Regularization(sam=0.37))
    images, labels = data()

    def closure():
        loss = F.cross_entropy(model(images.float()), labels)
        optimizer.zero_grad()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))


@pytest.mark.parametrize("in_a_thread", [False, True])
def test_the_second_pass_repeats_the_dropout_masks_and_leaves_batchnorm_alone(in_a_thread, config):
    """A job in a thread has random numbers of its own (`DropoutStream`)."""
    config.reg, states = Regularization(sam=0.05, dropout=0.5), []
    model, splits, optimizer, schedule = parts(config)

    def watch(layer, inputs):
        if layer.training:
            states.append(torch.get_rng_state())

    model.dropout.register_forward_pre_hook(watch)

    def run():
        return list(train(model, splits, optimizer, schedule, config))

    if in_a_thread:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(run).result()
    else:
        run()
    step_count = config.epochs * (len(splits.train) // config.data.batch_size)
    firsts, seconds = states[::2], states[1::2]
    assert len(firsts) == len(seconds) == step_count
    assert all(torch.equal(first, second) for first, second in zip(firsts, seconds, strict=True))
    assert not any(torch.equal(one, other) for one, other in pairwise(firsts))
    counts = [buffer for name, buffer in model.named_buffers() if name.endswith("num_batches_tracked")]
    assert counts
    assert all(count == step_count for count in counts)


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_the_average_is_torchs(decay):
    model = network()
    reference = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    for _, optimizer in steps(model, OPTIMIZERS["adam"], Regularization(ema=decay), 5):
        reference.update_parameters(model)
        raw = [parameter.detach().clone() for parameter in model.parameters()]
        with optimizer.evaluation_weights():
            averaged = [parameter.detach().clone() for parameter in model.parameters()]
        torch.testing.assert_close(averaged, [p.detach() for p in reference.module.parameters()], **EXACT)
        assert all(torch.equal(a, b) for a, b in zip(raw, model.parameters(), strict=True))
    assert not torch.equal(averaged[0], raw[0])


def parts(config):
    images = load(config.data)
    splits, model = make_splits(config.data, images), make_network(config, images.source)
    optimizer = make_optimizer(model, config.optimizer, config.reg)
    schedule = make_schedule(optimizer, config.schedule, config.epochs, len(splits.train) // config.data.batch_size)
    return model, splits, optimizer, schedule


def test_validation_sees_the_average_with_its_own_statistics_and_training_does_not(config, fit):
    plain = fit(config)
    config.reg.ema = 0.8
    model, splits, optimizer, schedule = parts(config)
    for epoch, metrics in train(model, splits, optimizer, schedule, config):
        with optimizer.evaluation_weights():
            reference = copy.deepcopy(model)
        batches = draw_batches(len(splits.train), config.data.batch_size, config.seed, epoch)
        update_bn([splits.train.batch(indices)[0] for indices in batches], reference)
        loss, _ = score(predict(reference, splits.validation, torch.device("cpu")), splits.validation.labels)
        assert metrics["val/loss"] == pytest.approx(loss, rel=0.01)  # torch averages variances of batches
        assert metrics["val/loss"] != plain.metrics[epoch - 1]["val/loss"]
        assert metrics["train/loss"] == plain.metrics[epoch - 1]["train/loss"]
    assert all(torch.equal(value, plain.weights[name]) for name, value in model.state_dict().items())
    with evaluation_state(model, optimizer, splits.train, config, config.epochs):
        loss, _ = score(predict(model, splits.validation, torch.device("cpu")), splits.validation.labels)
    assert loss == metrics["val/loss"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_tensor_stays_at_its_place_in_memory_as_a_cuda_graph_needs(optimizer):
    model, places = network(), []
    for _, wrapper in steps(model, OPTIMIZERS[optimizer], EVERY):
        with wrapper.evaluation_weights():
            pass
        places.append([tensor.data_ptr() for tensor in (*model.parameters(), *wrapper.state_dict()["average"])])
    assert all(one == other for one, other in pairwise(places))


def test_a_learning_rate_in_a_tensor_gives_the_same_steps():
    """On a GPU, the learning rate is a tensor."""
    models = network(), network()
    for model in models:
        optimizer = make_optimizer(model, OPTIMIZERS["adam"], replace(EVERY, l1=1.0))
        if model is models[1]:
            for group in optimizer.param_groups:
                group["lr"] = torch.tensor(group["lr"], dtype=torch.float64)
        for _ in range(3):
            optimizer.step(closure_of(model, optimizer))
    assert zero_share(models[0]) > 0
    torch.testing.assert_close(*([p.detach() for p in model.parameters()] for model in models), rtol=1e-12, atol=1e-12)


# test_optimizers.py resumes jobs with every optimizer; Muon holds a second optimizer.
@pytest.mark.parametrize("settings", [OPTIMIZERS["adam"], MUON], ids=lambda settings: settings.name)
def test_a_resumed_job_gives_the_bits_of_an_uninterrupted_one(settings, config):
    config.reg, config.schedule, config.optimizer = EVERY, Cosine(), settings
    model, splits, *rest = parts(config)
    expected = dict(train(model, splits, *rest, config))
    first, _, *first_rest = parts(config)
    next(train(first, splits, *first_rest, config))
    resumed, _, *resumed_rest = parts(config)
    for part, saved in zip((resumed, *resumed_rest), (first, *first_rest), strict=True):
        part.load_state_dict(copy.deepcopy(saved.state_dict()))
    ((epoch, metrics),) = train(resumed, splits, *resumed_rest, config, first_epoch=2)
    assert {**metrics, "time/train_seconds": 0} == {**expected[epoch], "time/train_seconds": 0}
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in resumed.state_dict().items())
