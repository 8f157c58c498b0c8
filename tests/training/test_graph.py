"""Steps as a CUDA graph give the bits of eager steps; these tests need an NVIDIA GPU."""

import copy
import threading

import pytest
import torch

from src.config import Regularization
from src.data.sources import load
from src.data.splits import make_splits
from src.models.vit import ViT
from src.norms import NORMS
from src.norms.bn import BatchNorm
from src.norms.ghost import GhostBatchNorm
from src.norms.ln import LayerNorm
from src.options import SGD, Adam, AdamW, Lion, Muon, NAdam, OneCycle, RMSprop
from src.training.device import own_stream, use_algorithms
from src.training.loop import train
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule
from tests.norms.reference import build

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="a CUDA graph needs an NVIDIA GPU; pytest -m gpu"),
]
GPU = torch.device("cuda")
OPTIMIZERS = {
    "sgd": SGD(lr=0.05, momentum=0.9, nesterov=True),
    "adam": Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
    "adamw": AdamW(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
    "rmsprop": RMSprop(lr=0.001, alpha=0.99, eps=1e-8, momentum=0.9),
    "nadam": NAdam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=0.004),
    "muon": Muon(lr=0.02, adam_lr=0.02, momentum=0.95, nesterov=True, beta1=0.9, beta2=0.999, eps=1e-8),
    "lion": Lion(lr=0.002, beta1=0.9, beta2=0.99),
}


@pytest.fixture(autouse=True)
def deterministic():
    use_algorithms(GPU, deterministic=True)
    yield
    use_algorithms(GPU, deterministic=False)


@pytest.fixture
def config(config):
    config.schedule, config.data.images = OneCycle(warmup=0.25), 420  # 25 steps an epoch
    config.reg = Regularization(l1=1e-5, l2=1e-4, dropout=0.3, label_smoothing=0.1)
    return config


def add_noise(images, target, generator):
    return images + 0.1 * torch.rand(images.shape, generator=generator, device=images.device), target


class Job:
    """The parts of one job, which can train some of its epochs."""

    def __init__(self, config, device=GPU):
        images = load(config.data)
        self.config, self.device, self.splits = config, device, make_splits(config.data, images)
        self.model = make_network(config, images.source).to(device=device, memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.model, config.optimizer, config.reg)
        steps = len(self.splits.train) // config.data.batch_size
        self.schedule = make_schedule(self.optimizer, config.schedule, config.epochs, steps)

    def states(self):
        return [copy.deepcopy(part.state_dict()) for part in (self.model, self.optimizer, self.schedule)]

    def restore(self, states):
        for part, state in zip((self.model, self.optimizer, self.schedule), states, strict=True):
            part.load_state_dict(state)

    def train(self, first_epoch=1, last_epoch=None, augment=add_noise):
        """Train, and return each epoch's metrics and the weights after the last one, as bytes."""
        curves = {}
        with own_stream(self.device):
            parts = (self.model, self.splits, self.optimizer, self.schedule, self.config)
            for epoch, metrics in train(*parts, augment=augment, first_epoch=first_epoch):
                curves[epoch] = {name: value for name, value in metrics.items() if "time" not in name}
                if epoch == last_epoch:
                    break
        return curves, self.weights()

    def weights(self):
        return {name: value.cpu().numpy().tobytes() for name, value in self.model.state_dict().items()}


def trained(config, execution):
    config.execution = execution
    return Job(config).train()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("norm", NORMS)
def test_a_graph_gives_the_bits_of_eager_steps(norm, optimizer, config):
    config.norm, config.optimizer = build(norm), OPTIMIZERS[optimizer]
    assert trained(config, "graph") == trained(config, "eager")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_graph_gives_the_bits_of_eager_steps_with_the_regularisers_of_the_step(optimizer, config):
    config.optimizer = OPTIMIZERS[optimizer]
    config.reg = Regularization(1e-3, "proximal", weight_decay=0.1, dropout=0.3, clip=1.0, ema=0.9, sam=0.05)
    assert trained(config, "graph") == trained(config, "eager")


@pytest.mark.parametrize(
    "norm",
    [
        GhostBatchNorm(eps=1e-5, momentum=0.1, chunk=4),
        BatchNorm(eps=1e-5, momentum=0.1, stats="frozen", frozen_share=0.5),  # another step from epoch 3 on
    ],
    ids=["ghost", "frozen"],
)
def test_a_graph_gives_the_bits_of_eager_steps_with_chunks_and_with_frozen_statistics(norm, config):
    config.norm, config.epochs = norm, 4
    assert trained(config, "graph") == trained(config, "eager")


def test_a_graph_gives_the_bits_of_eager_steps_with_standardised_weights(config):
    config.model.weight_standardization = True
    assert trained(config, "graph") == trained(config, "eager")


def test_a_graph_gives_the_bits_of_eager_steps_in_bfloat16(config):
    config.precision = "bfloat16"
    assert trained(config, "graph") == trained(config, "eager")


def test_a_graph_gives_the_bits_of_eager_steps_with_stochastic_depth(config):
    config.norm, config.model = LayerNorm(eps=1e-5), ViT(width=12, depth=3, heads=2)
    config.reg.stochastic_depth = 0.5
    assert trained(config, "graph") == trained(config, "eager")


def test_the_learning_rate_of_every_step_is_the_schedules(config):
    expected = trained(config, "graph")
    config.schedule = OneCycle(warmup=0.5)
    assert trained(config, "graph") != expected


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_job_gives_the_bits_of_an_uninterrupted_one(optimizer, config):
    config.optimizer, config.execution, config.epochs = OPTIMIZERS[optimizer], "graph", 3
    curves, weights = Job(config).train()
    first = Job(config)
    first.train(last_epoch=1)
    resumed = Job(config)
    resumed.restore(first.states())
    later_curves, later_weights = resumed.train(first_epoch=2)
    assert later_curves == {epoch: curves[epoch] for epoch in (2, 3)}
    assert later_weights == weights


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_job_moves_between_the_gpu_and_the_cpu(optimizer, config):
    config.optimizer = OPTIMIZERS[optimizer]
    for start, end in ((GPU, torch.device("cpu")), (torch.device("cpu"), GPU)):
        first, second = Job(config, start), Job(config, end)
        first.train(last_epoch=1)
        states = first.states()
        parameters = second.model.state_dict()
        states[0] = {name: value.to(parameters[name].device) for name, value in states[0].items()}
        second.restore(states)
        curves, _ = second.train(first_epoch=2)
        expected, _ = Job(config, start).train()
        assert curves[2]["train/loss"] == pytest.approx(expected[2]["train/loss"], rel=0.1)


def test_jobs_on_streams_of_their_own_give_the_bits_of_a_job_alone(config):
    config.execution = "graph"
    expected, found = Job(config).train(), {}

    def run(place):
        found[place] = Job(config).train()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), expected)


def test_a_step_that_cannot_be_recorded_is_reported_with_the_way_out(config):
    config.execution = "graph"
    job = Job(config)

    def read_a_value(images, target, generator):
        return images * images.max().item(), target

    with pytest.raises(RuntimeError, match="cannot run as a CUDA graph, but does with execution=eager"):
        job.train(augment=read_a_value)
    assert Job(config).train() == trained(config, "eager")  # the process can still record graphs
