import copy
import math
import re
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import FrozenBatchNorm2d

from src import norms
from src.config import Regularization
from src.data.sources import load
from src.data.splits import make_splits
from src.norms.bn import BatchNorm
from src.norms.ghost import GhostBatchNorm
from src.norms.gn import GroupNorm
from src.options import SGD, Adam, AdamW, Constant, OneCycle, Step
from src.training.loop import Diverged, draw_batches, train
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule
from src.training.penalties import penalised_weights
from src.training.streams import generator, stream_seed
from tests import world
from tests.norms.reference import build

NORMS = world.NORMS | {"gn": GroupNorm(eps=1e-5, groups=2)}
ALL_NORMS = {name: build(name) for name in norms.NORMS} | NORMS
ALL_NORMS |= {
    "ghost": GhostBatchNorm(eps=1e-5, momentum=0.1, chunk=4),
    "frozen": BatchNorm(eps=1e-5, momentum=0.1, stats="frozen"),
}
ADAM = Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8)
STILL = SGD(lr=1e-30, momentum=0.0, nesterov=False)  # steps too small to change a weight
STEPS = 130 // 16


class Batches:
    """The images that a network is trained on, each by its content, batch by batch."""

    def __init__(self):
        self.seen = []

    def __call__(self, model, images, logits):
        if model.training:
            self.seen.append([image.numpy().tobytes() for image in images])


def identical(one, other):
    return one.weights.keys() == other.weights.keys() and all(
        torch.equal(one.weights[name], other.weights[name]) for name in one.weights
    )


@pytest.mark.parametrize("norm", ALL_NORMS)
def test_the_same_job_gives_the_same_bits(norm, config, fit):
    config.norm, config.optimizer = ALL_NORMS[norm], ADAM
    config.reg = Regularization(l1=1e-4, l2=1e-3, dropout=0.2, label_smoothing=0.1)
    first = fit(config)
    torch.manual_seed(99)
    again = fit(config)
    assert identical(first, again)
    assert first.metrics == again.metrics


def test_deterministic_algorithms_can_be_asked_for(config, fit):
    plain = fit(config)
    torch.use_deterministic_algorithms(True)
    assert identical(fit(config), plain)


def test_bfloat16_trains_nearly_alike_and_leaves_float32(config, fit):
    config.optimizer = ADAM
    plain, seen = fit(config), []
    config.precision = "bfloat16"

    def observe(model, images, logits):
        seen.append((model.training, logits.dtype))

    trained = fit(config, observe)
    assert not identical(trained, plain)
    assert {value.dtype for value in trained.weights.values()} <= {torch.float32, torch.int64}
    assert set(seen) == {(True, torch.bfloat16), (False, torch.float32)}
    for one, other in zip(trained.metrics, plain.metrics, strict=True):
        assert one["train/loss"] == pytest.approx(other["train/loss"], rel=0.1)


def test_another_seed_gives_another_network(config, fit):
    first = fit(config)
    config.seed = 1
    assert not identical(fit(config), first)


def batches(fit, config):
    observed = Batches()
    fit(config, observed)
    return observed.seen


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "reg", [Regularization(), Regularization(l1=1e-3, l2=1e-2, dropout=0.5, label_smoothing=0.1)], ids=["none", "all"]
)
def test_batches_are_the_same_under_every_norm_and_penalty(norm, reg, config, fit):
    expected = batches(fit, config)
    config.norm, config.reg = NORMS[norm], reg
    assert batches(fit, config) == expected


def test_batches_are_dealt_anew_in_every_epoch_and_by_every_seed(config, fit):
    dealt = batches(fit, config)
    config.seed = 1
    other = batches(fit, config)
    orders = [[image for batch in part for image in batch] for part in (dealt[:STEPS], dealt[STEPS:], other[:STEPS])]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def first_weights(config):
    return make_network(config, load(config.data).source).state_dict()


def test_init_seed_decides_the_first_weights_alone(config, fit):
    config.seed = 3
    expected = first_weights(config)
    config.seed = 0
    order = batches(fit, config)
    config.init_seed = 3
    weights = first_weights(config)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert batches(fit, config) == order


def test_order_seed_decides_batches_dropout_and_augmentation_alone(config):
    """The network, the batches as they were augmented, and torch's own seed, step by step."""

    def observed(config):
        seen = []

        def add_noise(images, target, generator):
            noise = torch.rand(images.shape, generator=generator)
            seen.append((images.numpy().tobytes(), noise.numpy().tobytes(), torch.initial_seed()))
            return images + noise, target

        splits = make_splits(config.data, load(config.data))
        model = make_network(config, load(config.data).source)
        optimizer = make_optimizer(model, config.optimizer, config.reg)
        schedule = make_schedule(optimizer, config.schedule, config.epochs, STEPS)
        for _ in train(model, splits, optimizer, schedule, config, augment=add_noise):
            pass
        return seen

    plain, weights = observed(config), first_weights(config)
    config.order_seed = 3
    alone = observed(config)
    assert all(torch.equal(value, weights[name]) for name, value in first_weights(config).items())
    config.seed, config.order_seed = 3, None
    assert len(alone) == config.epochs * STEPS
    assert alone == observed(config)
    assert not any({*one} & {*other} for one, other in zip(alone, plain, strict=True))


def test_seeds_of_their_own_that_equal_the_seed_change_no_bit(config, fit):
    config.seed, config.reg.dropout = 4, 0.3
    expected = fit(config)
    config.seed, config.init_seed, config.order_seed = 0, 4, 4
    assert identical(fit(config), expected)


def test_order_and_dropout_have_a_stream_of_their_own_in_every_epoch(config, fit):
    train = make_splits(config.data, load(config.data)).train
    contents = [image.numpy().tobytes() for image in train.normalise(train.images)]
    orders, dropout_seeds = [], []

    def observe(model, images, logits):
        if model.training:
            orders.extend(contents.index(image.numpy().tobytes()) for image in images)
            dropout_seeds.append(torch.initial_seed())

    config.seed = 5
    fit(config, observe)
    length = STEPS * 16
    for epoch in (1, 2):
        expected = torch.randperm(len(train), generator=generator(5, "order", epoch))[:length].tolist()
        assert orders[(epoch - 1) * length : epoch * length] == expected
    assert dropout_seeds == [stream_seed(5, "dropout", epoch) for epoch in (1, 2) for _ in range(STEPS)]


def test_an_epoch_does_not_depend_on_how_many_follow(config, fit):
    two = batches(fit, config)
    config.epochs = 1
    assert batches(fit, config) == two[:STEPS]


def test_an_epoch_shows_each_image_once_in_whole_batches(config, fit):
    seen = batches(fit, config)
    assert [len(batch) for batch in seen] == [16] * STEPS * config.epochs
    for epoch in (seen[:STEPS], seen[STEPS:]):
        assert set(Counter(image for batch in epoch for image in batch).values()) == {1}


def test_images_are_trained_on_with_their_own_labels(config, fit):
    config.epochs, config.optimizer = 1, STILL
    train = make_splits(config.data, load(config.data)).train
    label = {
        image.numpy().tobytes(): int(k) for image, k in zip(train.normalise(train.images), train.labels, strict=True)
    }
    losses, hits = [], []

    def observe(model, images, logits):
        if model.training:
            labels = torch.tensor([label[image.numpy().tobytes()] for image in images])
            losses.append(-logits.log_softmax(dim=1)[torch.arange(16), labels].mean().item())
            hits.extend((logits.argmax(dim=1) == labels).tolist())

    (metrics,) = fit(config, observe).metrics
    assert metrics["train/loss"] == pytest.approx(sum(losses) / STEPS)
    assert metrics["train/accuracy"] == sum(hits) / len(hits)


@pytest.mark.parametrize(
    "reg",
    [
        Regularization(l1=0.1),
        Regularization(l1=0.1, l1_method="proximal"),
        Regularization(l2=0.1),
        Regularization(label_smoothing=0.5),
        Regularization(sam=0.5),  # the second pass is neither logged nor part of BatchNorm's running statistics
    ],
    ids=["l1", "proximal", "l2", "smooth", "sam"],
)
def test_the_loss_that_is_logged_is_the_datas_alone(reg, config, fit):
    config.optimizer = STILL
    plain = fit(config)
    config.reg = reg
    with_reg = fit(config)
    for one, other in zip(plain.metrics, with_reg.metrics, strict=True):
        assert one["train/loss"] == other["train/loss"]
        assert one["val/loss"] == other["val/loss"]


@pytest.mark.parametrize("method", ["subgradient", "proximal"])
def test_the_penalty_is_logged_apart(method, config, fit):
    config.optimizer = STILL
    assert [metrics["train/penalty"] for metrics in fit(config).metrics] == [0, 0]
    config.reg = Regularization(l1=0.1, l1_method=method, l2=0.3)
    trained = fit(config)
    every = torch.cat([weight.detach().flatten() for weight in penalised_weights(trained.model)]).double()
    expected = (0.1 * every.abs().sum() + 0.15 * every.square().sum()).item()
    assert [metrics["train/penalty"] for metrics in trained.metrics] == pytest.approx([expected] * 2, rel=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"l1": 1e-3},
        {"l1": 1e-3, "l1_method": "proximal"},
        {"l2": 1e-2},
        {"weight_decay": 1e-2},
        {"dropout": 0.3},
        {"label_smoothing": 0.1},
        {"clip": 0.1},
        {"sam": 0.05},
    ],
    ids=lambda change: " ".join(change),
)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_regulariser_changes_what_is_learned(change, optimizer, config, fit):
    if optimizer == "adamw":
        config.optimizer = AdamW(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8)
    plain = fit(config)
    config.reg = Regularization(**change)
    assert not identical(fit(config), plain)


def test_l1_and_l2_make_weights_smaller(config, fit):
    def size(**reg):
        config.reg = Regularization(**reg)
        return sum(weight.abs().sum().item() for weight in penalised_weights(fit(config).model))

    assert size(l1=0.01) < 0.9 * size()
    assert size(l2=0.5) < 0.9 * size()


def test_adamw_decays_weights_without_a_penalty_in_the_loss(config, fit):
    config.optimizer = AdamW(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8)
    config.reg.weight_decay = 0.5
    assert [metrics["train/penalty"] for metrics in fit(config).metrics] == [0, 0]


def test_label_smoothing_is_spread_evenly_over_all_classes(config, fit):
    config.epochs, config.optimizer = 1, SGD(lr=1.0, momentum=0.0, nesterov=False)
    config.reg.label_smoothing = 0.2
    config.data.images, config.data.batch_size = 36, 16  # one step
    train = make_splits(config.data, load(config.data)).train
    before, images = [], []

    def observe(model, batch, logits):
        if model.training:
            before.append(copy.deepcopy(model))
            images.append(batch)

    after = fit(config, observe).model
    (model,), (batch,) = before, images
    label = {
        image.numpy().tobytes(): int(k) for image, k in zip(train.normalise(train.images), train.labels, strict=True)
    }
    labels = torch.tensor([label[image.numpy().tobytes()] for image in batch])
    targets = 0.8 * F.one_hot(labels, 4) + 0.2 / 4
    model._forward_hooks.clear()
    (-(targets * model(batch).log_softmax(dim=1)).sum(dim=1).mean()).backward()
    expected = model.classifier.weight - model.classifier.weight.grad
    torch.testing.assert_close(after.classifier.weight, expected)


def test_validation_is_judged_after_the_epoch_without_dropout(config, fit):
    config.reg.dropout = 0.5
    trained = fit(config)
    validation = make_splits(config.data, load(config.data)).validation
    trained.model.eval()
    with torch.no_grad():
        logits = trained.model(validation.normalise(validation.images))
    last = trained.metrics[-1]
    assert last["val/loss"] == pytest.approx(F.cross_entropy(logits, validation.labels).item())
    assert last["val/accuracy"] == (logits.argmax(dim=1) == validation.labels).double().mean().item()


def test_the_schedule_moves_once_a_step(config, fit):
    config.schedule = OneCycle(warmup=0.5)
    with_cycle = fit(config)
    config.schedule = Constant()
    assert not identical(with_cycle, fit(config))
    config.schedule = Step(step_epochs=1, gamma=1e-30)
    frozen_after_one = fit(config)
    config.epochs, config.schedule = 1, Constant()
    weights, one_epoch = frozen_after_one.weights, fit(config).weights
    learned = [name for name in weights if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(weights[name], one_epoch[name]) for name in learned)


@pytest.mark.parametrize("norm", ALL_NORMS)
def test_it_learns(norm, config, fit):
    config.norm, config.optimizer, config.epochs = ALL_NORMS[norm], ADAM, 6
    trained = fit(config)
    assert trained.metrics[-1]["val/accuracy"] >= 0.8  # by chance 0.25
    assert trained.metrics[-1]["train/loss"] < 0.5 * trained.metrics[0]["train/loss"]


def test_frozen_statistics_train_as_those_of_torchvision(config, fit):
    """A plain loop with torchvision's FrozenBatchNorm2d, whose gain and bias learn, gives the same last epoch."""
    config.epochs, config.optimizer = 1, SGD(lr=0.05, momentum=0.0, nesterov=False)
    model = copy.deepcopy(fit(config).model)
    config.epochs, config.norm = 2, ALL_NORMS["frozen"]
    frozen = fit(config)
    splits = make_splits(config.data, load(config.data))
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            layer = FrozenBatchNorm2d(module.num_features, module.eps)
            layer.load_state_dict(module.state_dict())
            layer.weight, layer.bias = (
                torch.nn.Parameter(value) for value in (layer._buffers.pop("weight"), layer._buffers.pop("bias"))
            )
            model.set_submodule(name, layer)
    for indices in draw_batches(len(splits.train), 16, 0, 2):
        images, labels = splits.train.batch(indices)
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(F.cross_entropy(model(images), labels), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= 0.05 * gradient
    for name, value in model.state_dict().items():
        torch.testing.assert_close(frozen.weights[name], value, rtol=1e-5, atol=1e-6)


def test_an_infinite_loss_is_told_with_epoch_and_step(config, fit):
    config.norm, config.optimizer.lr = NORMS["none"], 1e15
    finite = []

    def observe(model, images, logits):
        if model.training:
            finite.append(bool(logits.isfinite().all()))

    with pytest.raises(Diverged) as diverged:
        fit(config, observe)
    told = re.search(r"in epoch 1, step (\d+), the loss was (\S+) and the penalty 0", str(diverged.value))
    assert told
    assert int(told[1]) == finite.index(False) + 1
    assert not math.isfinite(float(told[2]))


def test_weights_that_overflow_in_the_last_step_are_told_too(config, fit):
    config.norm, config.optimizer.lr, config.epochs = NORMS["none"], 1e30, 1
    config.data.images = 36  # one step, whose loss is still finite
    with pytest.raises(Diverged):
        fit(config)


def test_an_epochs_record_is_complete_and_numbered_from_1(config, fit):
    epochs = fit(config).epochs
    assert list(epochs) == [1, 2]
    expected = {"train/loss", "train/penalty", "train/accuracy", "val/loss", "val/accuracy", "time/train_seconds"}
    assert all(set(metrics) == expected for metrics in epochs.values())
    assert all(metrics["time/train_seconds"] > 0 for metrics in epochs.values())
