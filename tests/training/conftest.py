"""A job small enough to be trained in a tenth of a second, and the training of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from src.config import Config, Regularization
from src.data.sources import load
from src.data.splits import make_splits
from src.datasets import Synthetic
from src.models.cnn import CNN
from src.norms.bn import BatchNorm
from src.options import SGD, Constant, NoTracking
from src.training.loop import Metrics, train
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule

Observer = Callable[[nn.Module, Tensor, Tensor], None]
"""Is shown the network, a batch of images and its logits, in training and in evaluation."""


@dataclass
class Trained:
    """What training left behind."""

    model: nn.Module
    epochs: dict[int, Metrics]

    @property
    def weights(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    @property
    def metrics(self) -> list[dict[str, float]]:
        """Each epoch's metrics but for the time."""
        return [
            {name: value for name, value in metrics.items() if not name.startswith("time/")}
            for metrics in self.epochs.values()
        ]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)


@pytest.fixture
def config() -> Config:
    data = Synthetic(
        batch_size=16,
        validation=20,
        split_seed=0,
        classes=4,
        channels=1,
        size=28,
        images=150,
        test_images=20,
        noise=0.5,
    )
    return Config(
        norm=BatchNorm(eps=1e-5, momentum=0.1),
        reg=Regularization(),
        optimizer=SGD(lr=0.05, momentum=0.9, nesterov=True),
        schedule=Constant(),
        data=data,
        model=CNN(width=4),
        tracking=NoTracking(),
        epochs=2,
        seed=0,
        threads=1,
    )


@pytest.fixture
def fit() -> Callable[..., Trained]:
    def fit(config: Config, observer: Observer | None = None) -> Trained:
        images = load(config.data)
        splits = make_splits(config.data, images)
        model = make_network(config, images.source)
        if observer:
            model.register_forward_hook(lambda module, batch, logits: observer(module, batch[0], logits.detach()))
        optimizer = make_optimizer(model, config.optimizer, config.reg)
        steps = len(splits.train) // config.data.batch_size
        schedule = make_schedule(optimizer, config.schedule, config.epochs, steps)
        return Trained(model, dict(train(model, splits, optimizer, schedule, config)))

    return fit
